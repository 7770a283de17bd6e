"""Read the schema of Bianchi et al. (2024) for their sets of prompts: parallel lists, instructions and inputs (empty).

I-Alpaca, I-MaliciousInstructions, I-CoNa, I-Controversial, I-PhysicalSafety and Q-Harm have it. A repeated prompt is
asked once, so 98 of I-MaliciousInstructions' 100 remain.
"""

import pandas as pd

from ballast.data.rows import leaving_out, require
from ballast.files import BallastError, read_json

GIVES = "prompts"


def read(path: str) -> pd.DataFrame:
    """Return prompt, in file order."""
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("instructions"), list):
        raise BallastError(f"{path}: wanted an object with the list 'instructions'")
    table = require(pd.DataFrame({"prompt": raw["instructions"]}), ("prompt",), path)
    once = table.drop_duplicates(ignore_index=True)
    return leaving_out(once, "repeats", len(table) - len(once))
