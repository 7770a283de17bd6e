"""Read Alpaca's schema: instruction, input, output, in JSON, JSON lines, CSV or Parquet. `input` may be absent."""

import pandas as pd

from ballast.data import forms

GIVES = "pairs"
FORM = forms.ALPACA


def read(path: str, columns: dict | None = None, unreadable: float = 0, where: dict | None = None) -> pd.DataFrame:
    """Return instruction, input, output in file order. Empty outputs are kept: the original Alpaca has some."""
    return forms.read(path, FORM, columns, unreadable, where)
