"""I-Alpaca's schema (Bianchi et al., 2024): an object of parallel lists, instructions and inputs (empty)."""

import pandas as pd

from ballast.files import BallastError, read_json
from ballast.rows import require


def read(path: str) -> pd.DataFrame:
    """prompt, in file order."""
    raw = read_json(path)
    if not isinstance(raw, dict) or not isinstance(raw.get("instructions"), list):
        raise BallastError(f"{path}: wanted an object with the list 'instructions'")
    return require(pd.DataFrame({"prompt": raw["instructions"]}), ("prompt",), path)
