"""The schema of Bianchi et al. (2024) for all their sets of prompts: parallel lists, instructions and inputs (empty).

I-Alpaca, I-MaliciousInstructions, I-CoNa, I-Controversial, I-PhysicalSafety and Q-Harm are published so. A prompt that
a file repeats, as I-MaliciousInstructions does twice, is asked once: 98 of its 100.
"""

import pandas as pd

from ballast.data.rows import require
from ballast.files import BallastError, read_json


def read(path: str) -> pd.DataFrame:
    """prompt, in file order."""
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("instructions"), list):
        raise BallastError(f"{path}: wanted an object with the list 'instructions'")
    table = require(pd.DataFrame({"prompt": raw["instructions"]}), ("prompt",), path)
    return table.drop_duplicates(ignore_index=True)
