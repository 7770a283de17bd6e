"""Read a pool's labels from a column of its own file, instead of a judge or a labeller.

Without a value a row has no label: the behaviour is unknown, the category missing. A value that means nothing is an
error, so that a misspelt word never becomes a label.
"""

import sys
from collections import Counter
from collections.abc import Callable, Sequence

import pandas as pd

from ballast import plugins
from ballast.categories import span, taxonomy, title
from ballast.data import own
from ballast.data.absent import present
from ballast.data.marks import normal
from ballast.data.named import near, value_shown
from ballast.files import BallastError
from ballast.names import BEHAVIOURS, UNKNOWN

MISSING, SAID = "no value in the column", "unknown in the column"
NONE = "none"
TOLD = 5
KINDS = {normal(word): word for word in (*BEHAVIOURS, UNKNOWN)}


def behaviour(ids: Sequence[str], options: dict) -> pd.DataFrame:
    """Return behaviour and reason of each row; `options`: path, format, columns, where, column, values."""
    known = KINDS | options["values"]
    found = _labels(ids, options, lambda value: known.get(normal(value)), "T1 to T4 or unknown")
    reasons = [{None: MISSING, UNKNOWN: SAID}.get(one, "") for one in found]
    return pd.DataFrame({"behaviour": [one or UNKNOWN for one in found], "reason": reasons})


def categories(ids: Sequence[str], options: dict) -> list[list[int] | None]:
    """Return the categories of each row, None without a value. A value is an id or a name, or a list of them."""
    known = _known()
    for value, meaning in options["values"].items():
        if normal(meaning) not in known:
            raise BallastError(f"config: labels.category.values.{value}: '{meaning}' is no category; give {_words()}")
    known |= {value: known[normal(meaning)] for value, meaning in options["values"].items()}
    return _labels(ids, options, lambda value: _ids(value, known), _words())


def _known() -> dict[str, list[int]]:
    """Return the words for each category: id, key, and key as words."""
    words = {NONE: []}
    for number, key in enumerate(taxonomy().names):
        words |= dict.fromkeys((str(number), normal(key), normal(title(number))), [number])
    return words


def _ids(value, known: dict[str, list[int]]) -> list[int] | None:
    """Return the distinct ids of a value, or of the parts of a list (JSON, or text with semicolons).

    An object of booleans, as BeaverTails has it, names the categories that are true.
    """
    if isinstance(value, dict):
        value = [key.replace(",_", ",") for key, true in value.items() if true] or NONE
    if isinstance(value, str) and normal(value) not in known:
        value = value.split(";")
    parts = value if isinstance(value, list) else [value]
    ids = [known.get(normal(part)) for part in parts]
    return None if None in ids else list(dict.fromkeys(one for part in ids for one in part))


def _words() -> str:
    return f"an id of {span()}, a category's name or {NONE}"


def _labels(ids: Sequence[str], options: dict, meaning: Callable, wanted: str) -> list:
    """Return the label of each id, None without a value; raise BallastError at values that mean nothing."""
    path, column = options["path"], options["column"]
    form = own.detect(path, plugins.load("readers", options["format"]).FORM, options["columns"])
    found, unknown, there, disputed, mistake = {}, Counter(), set(), 0, ""
    waiting = set(ids)
    for row, number, record, _ in own.rows(path, form, options["where"]):
        there.update(map(str, record))
        if row not in waiting:
            continue
        value = record.get(column)
        label = meaning(value)
        if label is None and not _is_missing(value):
            unknown[value_shown(str(value))] += 1
            mistake = mistake or f"{path}: row {number}: '{column}' is {value_shown(str(value))}"
        disputed += row in found and found[row] != label
        found.setdefault(row, label)
    if column not in there:
        raise BallastError(f"{path}: no column '{column}'{near(column, sorted(there), path)}")
    if unknown:
        counts = ", ".join(f"{value} ({times})" for value, times in unknown.most_common(TOLD))
        told = f"{unknown.total()} rows have such values: {counts}{', ...' if len(unknown) > TOLD else ''}"
        raise BallastError(f"{mistake}, which is not {wanted}; say in `values` what each value means ({told})")
    if lacking := waiting - found.keys():
        lost = f"{path}: row {min(lacking)} is no longer there"
        raise BallastError(f"{lost}; run again, so that the pool is read anew")
    missing = sum(found[row] is None for row in ids)
    said = f"{missing} of {len(ids)} rows have no value; {disputed} repeats of a row differ, and the first counts"
    print(f"{path}: column '{column}': {said}", file=sys.stderr)
    return [found[row] for row in ids]


def _is_missing(value) -> bool:
    """Return whether a cell holds nothing, or only a word for a missing value such as nan."""
    empty = isinstance(value, str) and not present(value).strip() or isinstance(value, list) and not value
    return value is None or value != value or empty
