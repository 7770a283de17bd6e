"""Read BeaverTails' pairs labelled safe: Figure 7's second pool (paper appendix C.3)."""

import pandas as pd

from ballast.data.rows import PAIR
from ballast.files import BallastError
from ballast.readers.beavertails import pairs

GIVES = "pairs"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input, output of the rows with is_safe true, in file order, equal pairs once."""
    table = pairs(path)
    table = table[table["is_safe"]]
    if table.empty:
        raise BallastError(f"{path}: no row has is_safe true")
    return table[list(PAIR)].reset_index(drop=True)
