"""A benchmark of one's own: prompts as JSON, JSON lines, CSV or Parquet, with harm categories where it has them.

Columns: `prompt` (or `question`, `instruction`, `request`), and perhaps `category`, an id of 0..13 or nothing.
"""

import pandas as pd

from ballast.files import BallastError
from ballast.records import records
from ballast.rows import require

NAMES = ("prompt", "question", "instruction", "request")


def read(path: str) -> pd.DataFrame:
    """prompt and, where the file has it, category, in file order."""
    table = pd.DataFrame(list(records(path)))
    name = next((name for name in NAMES if name in table), "prompt")
    prompts = require(table.rename(columns={name: "prompt"}), ("prompt",), path)
    if "category" not in prompts:
        return prompts[["prompt"]]
    given = prompts["category"].replace("", None)
    category = pd.to_numeric(given, errors="coerce")
    wrong = prompts.index[given.notna() & ~category.isin(range(14))]
    if len(wrong):
        raise BallastError(f"{path}: row {wrong[0]}: 'category' is not an id of 0..13")
    return pd.DataFrame({"prompt": prompts["prompt"], "category": category.astype("Int8")})
