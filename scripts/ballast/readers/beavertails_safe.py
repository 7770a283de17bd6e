"""Read BeaverTails' pairs labelled safe: Figure 7's second pool (paper appendix C.3)."""

import pandas as pd

from ballast.readers.beavertails import labelled

GIVES = "pairs"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input, output of the pairs with is_safe true, in file order, equal pairs once."""
    return labelled(path, True)
