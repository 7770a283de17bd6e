"""Read a user's own benchmark: prompts as JSON, JSON lines, CSV or Parquet.

Columns: `prompt` (or `question`, `instruction`, `request`); optionally `category`, an id of 0..13 or empty, and
`expected`, the right answer, which the judge exact-match reads: a number (1,000 and $5 and 50% are), or empty.
"""

import pandas as pd

from ballast.data.absent import present
from ballast.data.records import records
from ballast.data.rows import require
from ballast.files import BallastError
from ballast.judges.exact_match import right_number

GIVES = "prompts"
NAMES = ("prompt", "question", "instruction", "request")


def read(path: str) -> pd.DataFrame:
    """Return prompt and, if the file has them, category and expected, in file order."""
    table = pd.DataFrame(list(records(path)), dtype=object)  # else an empty cell makes floats of whole numbers
    name = next((name for name in NAMES if name in table), "prompt")
    given = require(table.rename(columns={name: "prompt"}), ("prompt",), path)
    found = given[["prompt"]].copy()
    if "category" in given:
        values = [present(value) or None if isinstance(value, str) else value for value in given["category"]]
        found["category"] = _categories(pd.Series(values, given.index, dtype=object), path)
    if "expected" in given:
        right = [right_number(answer, f"{path}: row {row}") for row, answer in enumerate(given["expected"])]
        found["expected"] = [None if number is None else f"{number:f}" for number in right]
    return found


def _categories(given: pd.Series, path: str) -> pd.Series:
    category = pd.to_numeric(given, errors="coerce")
    wrong = given.index[given.notna() & ~category.isin(range(14))]
    if len(wrong):
        raise BallastError(f"{path}: row {wrong[0]}: 'category' is not an id of 0..13")
    return category.astype("Int8")
