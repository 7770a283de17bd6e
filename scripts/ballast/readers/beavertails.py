"""Read BeaverTails (Ji et al., 2023): JSON lines of prompt, response, category (14 booleans), is_safe.

As reference pairs for Cossim, only rows with exactly one true category are kept (paper section 4.3, B_j).
"""

import sys
from collections import Counter

import pandas as pd

from ballast.categories import category_id, taxonomy
from ballast.data.named import named
from ballast.data.records import records
from ballast.data.rows import PAIR, leaving_out, require
from ballast.files import BallastError

GIVES = "pairs with a category"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input, output, category of the rows with exactly one category."""
    table = pairs(path)
    alone = table[table["categories"].map(len) == 1]
    leaving_out(alone, "without exactly one category", len(table) - len(alone))
    return alone.drop(columns=["categories", "is_safe"]).assign(category=[ids[0] for ids in alone["categories"]])


def labelled(path: str, safe: bool) -> pd.DataFrame:
    """Return instruction, input, output of the pairs with this label, in file order, equal pairs once."""
    table = pairs(path)
    kept = table[table["is_safe"] == safe]
    if kept.empty:
        raise BallastError(f"{path}: no row has is_safe {str(safe).lower()}")
    leaving_out(kept, f"with is_safe {str(not safe).lower()}", len(table) - len(kept))
    return kept[list(PAIR)].reset_index(drop=True)


def pairs(path: str) -> pd.DataFrame:
    """Return every pair once, at its first place: instruction, input, output, categories (ids) and is_safe.

    People annotated many pairs several times. The majority decides, whatever the order of the rows: a pair is safe if
    more annotations say so than not, and has the categories that at least half of its annotations name.
    """
    rows = [_row(path, number, row) for number, row in enumerate(records(path))]
    table = require(pd.DataFrame(rows, columns=[*PAIR, "categories", "is_safe"]), ("instruction", "output"), path)
    annotated = table.groupby(["instruction", "output"], sort=False)
    once = table.drop_duplicates(["instruction", "output"]).reset_index(drop=True)
    if len(once) < len(table):
        once["is_safe"] = (annotated["is_safe"].mean() > 0.5).to_numpy()
        once["categories"] = annotated["categories"].agg(_majority).to_numpy()
        disputed = int((annotated["is_safe"].nunique() > 1).sum())
        print(f"{path}: {disputed} pairs whose annotations disagree on is_safe; the majority decides", file=sys.stderr)
    return leaving_out(once, "annotations of a pair that an earlier row has", len(table) - len(once))


def _majority(annotations: pd.Series) -> tuple[int, ...]:
    votes = Counter(category for categories in annotations for category in categories)
    return tuple(sorted(category for category, times in votes.items() if 2 * times >= len(annotations)))


def _row(path: str, number: int, row: dict) -> dict:
    flags = row.get("category")
    if not isinstance(flags, dict):
        raise BallastError(f"{path}: row {number}: 'category' is missing or not an object of 14 booleans")
    unknown = [key for key in flags if key.replace(",_", ",") not in taxonomy().names]
    if unknown:
        raise BallastError(f"{path}: row {number}: {named(unknown[0])} is no category of the study")
    if not isinstance(row.get("is_safe"), bool):
        raise BallastError(f"{path}: row {number}: 'is_safe' is missing or neither true nor false")
    true = tuple(sorted(category_id(key) for key, value in flags.items() if value))
    pair = {"instruction": row.get("prompt"), "input": "", "output": row.get("response")}
    return {**pair, "categories": true, "is_safe": row["is_safe"]}
