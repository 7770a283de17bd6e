"""BeaverTails' schema (Ji et al., 2023): JSON lines of prompt, response, category (14 booleans), is_safe.

Read as reference pairs for Cossim: only rows with exactly one true category are kept (paper section 4.3, B_j).
"""

import pandas as pd

from ballast.categories import CATEGORIES, category_id
from ballast.files import BallastError, read_jsonl
from ballast.rows import require


def read(path: str) -> pd.DataFrame:
    """instruction, input, output, category of the rows labelled with one category alone."""
    rows = []
    for number, row in enumerate(read_jsonl(path)):
        flags = row.get("category")
        if not isinstance(flags, dict):
            raise BallastError(f"{path}: row {number}: 'category' is missing or not an object of 14 booleans")
        unknown = [key for key in flags if key.replace(",_", ",") not in CATEGORIES]
        if unknown:
            raise BallastError(f"{path}: row {number}: '{unknown[0]}' is not a BeaverTails category")
        true = [category_id(key) for key, value in flags.items() if value]
        if len(true) == 1:
            pair = {"instruction": row.get("prompt"), "input": "", "output": row.get("response")}
            rows.append({**pair, "category": true[0]})
    table = pd.DataFrame(rows, columns=["instruction", "input", "output", "category"])
    return require(table, ("instruction", "output"), path)
