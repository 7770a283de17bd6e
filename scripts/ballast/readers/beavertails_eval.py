"""Read BeaverTails-Evaluation (Ji et al., 2023): prompt, category, category_id (0..13), as JSON or JSON lines."""

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import require
from ballast.files import BallastError

GIVES = "prompts"


def read(path: str) -> pd.DataFrame:
    """Return prompt and category, in file order."""
    table = require(pd.DataFrame(records(path)), ("prompt",), path)
    if "category_id" not in table:
        raise BallastError(f"{path}: no column 'category_id' (there are: {', '.join(map(str, table.columns))})")
    wrong = table.index[~table["category_id"].isin(range(14))]
    if len(wrong):
        raise BallastError(f"{path}: row {wrong[0]}: 'category_id' is not in 0..13")
    return pd.DataFrame({"prompt": table["prompt"], "category": table["category_id"]})
