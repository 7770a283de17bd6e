"""SALAD-Bench's base schema (Li et al., 2024): a JSON list with question.

Copies that renamed it to prompt are read too.
"""

import pandas as pd

from ballast.data.rows import require
from ballast.files import read_rows


def read(path: str) -> pd.DataFrame:
    """prompt, in file order."""
    table = pd.DataFrame(read_rows(path))
    prompt = "prompt" if "prompt" in table and "question" not in table else "question"
    return pd.DataFrame({"prompt": require(table, (prompt,), path)[prompt]})
