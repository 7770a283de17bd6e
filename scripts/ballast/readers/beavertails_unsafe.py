"""Read BeaverTails' pairs labelled unsafe, which the paper's appendix C.3 rewrites as refusals."""

import pandas as pd

from ballast.readers.beavertails import labelled

GIVES = "pairs"


def read(path: str) -> pd.DataFrame:
    """Return instruction, input, output of the pairs with is_safe false, in file order, equal pairs once."""
    return labelled(path, False)
