"""Read SALAD-Bench's base set (Li et al., 2024): a JSON list with question, or prompt in copies that renamed it."""

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import require

GIVES = "prompts"


def read(path: str) -> pd.DataFrame:
    """Return prompt, in file order."""
    table = pd.DataFrame(records(path))
    prompt = "prompt" if "prompt" in table and "question" not in table else "question"
    return pd.DataFrame({"prompt": require(table, (prompt,), path)[prompt]})
