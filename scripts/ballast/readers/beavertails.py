"""Read BeaverTails (Ji et al., 2023): JSON lines of prompt, response, category (14 booleans), is_safe.

As reference pairs for Cossim, only rows with exactly one true category are kept (paper section 4.3, B_j).
"""

import pandas as pd

from ballast.categories import CATEGORIES, category_id
from ballast.data.rows import require
from ballast.files import BallastError, read_jsonl

GIVES = "pairs with a category"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input, output, category of the rows with exactly one category."""
    table = pairs(path)
    alone = table[table["categories"].map(len) == 1]
    return alone.drop(columns=["categories", "is_safe"]).assign(category=[ids[0] for ids in alone["categories"]])


def pairs(path: str) -> pd.DataFrame:
    """Return every row as instruction, input, output, categories (ids) and is_safe; equal pairs once."""
    rows = []
    for number, row in enumerate(read_jsonl(path)):
        flags = row.get("category")
        if not isinstance(flags, dict):
            raise BallastError(f"{path}: row {number}: 'category' is missing or not an object of 14 booleans")
        unknown = [key for key in flags if key.replace(",_", ",") not in CATEGORIES]
        if unknown:
            raise BallastError(f"{path}: row {number}: '{unknown[0]}' is not a BeaverTails category")
        if not isinstance(row.get("is_safe"), bool):
            raise BallastError(f"{path}: row {number}: 'is_safe' is missing or neither true nor false")
        true = tuple(category_id(key) for key, value in flags.items() if value)
        pair = {"instruction": row.get("prompt"), "input": "", "output": row.get("response")}
        rows.append({**pair, "categories": true, "is_safe": row["is_safe"]})
    table = pd.DataFrame(rows, columns=["instruction", "input", "output", "categories", "is_safe"])
    return require(table, ("instruction", "output"), path).drop_duplicates(["instruction", "output"], ignore_index=True)
