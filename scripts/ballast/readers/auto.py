"""Read rows in any form that `forms.py` detects by its columns: Alpaca, prompt and response, or chats."""

import pandas as pd

from ballast.data import forms

GIVES = "pairs"
FORM = forms.AUTO


def read(path: str, columns: dict[str, str] | None = None, unreadable: float = 0) -> pd.DataFrame:
    """Return instruction, input, output in file order."""
    return forms.read(path, FORM, columns, unreadable)
