"""Read XSTest (Röttger et al., 2024): a CSV of id, prompt, type, label, focus, note.

Over-refusal is measured on the safe prompts (paper section 4.4), so the unsafe contrasts are left out.
"""

import io

import pandas as pd

from ballast.data.rows import require
from ballast.files import BallastError, read_text


def read(path: str) -> pd.DataFrame:
    """Return prompt of the rows labelled safe, in file order."""
    try:
        table = pd.read_csv(io.StringIO(read_text(path)), dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise BallastError(f"{path}: not a whole CSV file ({error})") from None
    table = require(table, ("prompt", "label"), path)
    safe = table[table["label"] == "safe"]
    if safe.empty:
        raise BallastError(f"{path}: no row has the label 'safe'")
    return safe[["prompt"]].reset_index(drop=True)
