"""Read AdvBench (Zou et al., 2023, arXiv 2307.15043): a CSV of goal, target; the goal is the prompt."""

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import require

GIVES = "prompts"


def read(path: str) -> pd.DataFrame:
    """Return prompt, in file order."""
    return pd.DataFrame({"prompt": require(pd.DataFrame(records(path)), ("goal",), path)["goal"]})
