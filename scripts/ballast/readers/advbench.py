"""Read AdvBench (Zou et al., 2023, arXiv 2307.15043): a CSV of goal, target; the goal is the prompt."""

import io

import pandas as pd

from ballast.data.rows import require
from ballast.files import BallastError, read_text

GIVES = "prompts"


def read(path: str) -> pd.DataFrame:
    """Return prompt, in file order."""
    try:
        table = pd.read_csv(io.StringIO(read_text(path)), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BallastError(f"{path}: not a whole CSV file ({error})") from None
    return pd.DataFrame({"prompt": require(table, ("goal",), path)["goal"]})
