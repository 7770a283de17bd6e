"""Read a benchmark: prompts as JSON, JSON lines, CSV or Parquet.

Columns: `prompt` (or another of NAMES); optionally `category` or `category_id`, an id of 0..13 or empty, and
`expected`, the right answer, which the judge exact-match reads: a number (1,000 and $5 and 50% are), or empty. The
config names other columns.
"""

import json
import sys
from collections.abc import Iterable

import pandas as pd

from ballast.categories import BEAVERTAILS, clustered, number, span, taxonomy
from ballast.data import marks
from ballast.data.absent import present
from ballast.data.named import listed
from ballast.data.records import records
from ballast.data.rows import leaving_out, require
from ballast.files import BallastError
from ballast.judges.exact_match import right_number

GIVES = "prompts"
# The first one that a file has holds the prompts; the later ones are those of published benchmarks.
NAMES = ("prompt", "question", "instruction", "request", "goal", "Goal", "augq", "forbidden_prompt")


def read(
    path: str, columns: dict[str, str] | None = None, where: dict | None = None, tags: list[str] | None = None
) -> pd.DataFrame:
    """Return prompt and, if the file has them, category and expected, in file order, and the `tags` columns as JSON."""
    columns, tags, chosen = columns or {}, tags or [], marks.Filter(where or {})
    whole = list(records(path))
    taken = [number for number, record in enumerate(whole) if chosen.takes(record)]
    chosen.check(path)
    # Without dtype=object an empty cell makes floats of whole numbers. The index is the row in the file.
    table = pd.DataFrame([whole[number] for number in taken], index=taken, dtype=object)
    usual = next((name for name in NAMES if name in table), "prompt")
    require_columns(table, (*columns.values(), *tags), path)
    name = columns.get("prompt", usual)
    found = require(table, (name,), path)[[name]].set_axis(["prompt"], axis=1)
    category = columns.get("category", "category_id" if "category_id" in table else "category")
    expected = columns.get("expected", "expected")
    unread = [str(column) for column in table if column not in {name, category, expected, *tags, *(where or {})}]
    print(f"{path}: prompts are column '{name}'; not read: {listed(unread, path, {name}) or 'none'}", file=sys.stderr)
    if category in table and category not in tags and clustered():
        print(f"{path}: '{category}' is not read: the study's categories are clusters of its pool", file=sys.stderr)
    elif category in table and category not in tags:
        values = [present(value) or None if isinstance(value, str) else value for value in table[category]]
        found["category"] = _categories(pd.Series(values, table.index, dtype=object), path, category)
    if expected in table and expected not in tags:
        right = [right_number(answer, f"{path}: row {row}") for row, answer in table[expected].items()]
        found["expected"] = [None if number is None else f"{number:f}" for number in right]
    if tags:
        found["tags"] = as_tags(table, tags)
    found = found.reset_index(drop=True)
    return leaving_out(found, "left out by where", len(whole) - len(taken)) if where else found


def require_columns(table: pd.DataFrame, wanted: Iterable[str], path: str) -> None:
    """Raise BallastError if the config names a column that the file lacks."""
    for column in wanted:
        if column not in table:
            raise BallastError(f"{path}: no column '{column}' (there are: {listed(table.columns, path)})")


def as_tags(table: pd.DataFrame, tags: list[str]) -> list[str]:
    """Return each row's tags as JSON."""
    return [json.dumps({tag: _text(row[tag]) for tag in tags}, sort_keys=True) for row in table.to_dict("records")]


def _text(value: object) -> str | None:
    """Return a tag's value as text; lists joined, None if absent."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return None if value is None or pd.isna(value) or value == "" else str(value)


def _categories(given: pd.Series, path: str, column: str) -> pd.Series:
    names = {} if taxonomy() == BEAVERTAILS else {name: each for each, name in enumerate(taxonomy().names)}
    category = pd.to_numeric(given.map(lambda value: names.get(value, value)), errors="coerce")
    wrong = given.index[given.notna() & ~category.isin(range(number()))]
    if len(wrong):
        raise BallastError(f"{path}: row {wrong[0]}: '{column}' is not an id of {span()}; name it in `tags` instead")
    return category.astype("Int8")
