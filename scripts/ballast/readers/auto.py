"""Read rows in any form that `forms.py` detects by its columns: Alpaca, prompt and response, or chats."""

import pandas as pd

from ballast.data import forms

GIVES = "pairs"
FORM = forms.AUTO


def read(path: str, columns: dict | None = None, unreadable: float = 0, where: dict | None = None) -> pd.DataFrame:
    """Return instruction, input, output in file order."""
    return forms.read(path, FORM, columns, unreadable, where)
