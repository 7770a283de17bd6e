"""Read reference pairs of one's own: a form of `forms.py`, and a column with each pair's category, by id or name.

The column is `category`; the config names another (`columns: {category: harm}`). A row with several categories, or
none, is left out and counted, as in BeaverTails.
"""

import pandas as pd

from ballast.categories import number, span, taxonomy
from ballast.data import forms
from ballast.data.marks import normal
from ballast.data.records import records
from ballast.data.rows import leaving_out
from ballast.files import BallastError

GIVES = "pairs with a category"
FORM = forms.AUTO


def read(path: str, columns: dict | None = None, unreadable: float = 0, where: dict | None = None) -> pd.DataFrame:
    """Return instruction, input, output, category, in file order."""
    parts = dict(columns or {})
    column = parts.pop("category", "category")
    found = forms.understand(path, FORM, parts, where)
    if found.unreadable:
        row, why = found.unreadable[0]
        raise BallastError(f"{path}: row {row}: {why}")
    taken = set(found.numbers.tolist())
    values = {row: record.get(column) for row, record in enumerate(records(path)) if row in taken}
    known = {str(each): each for each in range(number())}
    known |= {normal(name): each for each, name in enumerate(taxonomy().names)}
    ids = [_one(value, known, f"{path}: row {row}: '{column}'") for row, value in values.items()]
    rows = found.table.drop(columns=forms.TURNS, errors="ignore").assign(category=pd.array(ids, dtype="Int8"))
    alone = rows[rows["category"].notna()].reset_index(drop=True).astype({"category": int})
    leaving_out(alone, "left out by where", found.filtered)
    return leaving_out(alone, "without exactly one category", len(rows) - len(alone))


def _one(value, known: dict[str, int], where: str) -> int | None:
    """Return the id of a value; None for no category or several."""
    parts = value if isinstance(value, list) else [] if value is None or value == "" else [value]
    ids = {known.get(normal(part)) for part in parts}
    if None in ids:
        raise BallastError(f"{where} is no id of {span()} and no category's name")
    return ids.pop() if len(ids) == 1 else None
