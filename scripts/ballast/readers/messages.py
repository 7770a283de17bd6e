"""Read chats: a column of messages with role and content, or from and value (`forms.py`)."""

import pandas as pd

from ballast.data import forms

GIVES = "pairs"
FORM = forms.MESSAGES


def read(path: str, columns: dict | None = None, unreadable: float = 0, where: dict | None = None) -> pd.DataFrame:
    """Return instruction, input (empty), output in file order; the last answer of several is the output."""
    return forms.read(path, FORM, columns, unreadable, where)
