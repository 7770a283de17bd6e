"""Read two columns of text, a request and its response, under any of their usual names (`forms.py`)."""

import pandas as pd

from ballast.data import forms

GIVES = "pairs"
FORM = forms.PROMPT_RESPONSE


def read(path: str, columns: dict | None = None, unreadable: float = 0, where: dict | None = None) -> pd.DataFrame:
    """Return instruction, input (from a context column, else empty), output in file order."""
    return forms.read(path, FORM, columns, unreadable, where)
