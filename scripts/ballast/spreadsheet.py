"""Keep spreadsheet programs from running a cell: the one place that says which texts get an apostrophe before them."""

import re
from contextlib import suppress

# Signs that open a formula, also in full width.
SIGNS = r"\s*[=+\-@＝＋－＠]"
_FORMULA = re.compile(rf"{SIGNS}.", re.DOTALL)


def inert(cell: object) -> object:
    """Return a cell that no spreadsheet program runs; numbers, also as text, stay unchanged.

    A carriage return becomes a newline: Python's csv does not quote it, so the rest would begin a row of its own.
    """
    if not isinstance(cell, str):
        return cell
    cell = cell.replace("\r\n", "\n").replace("\r", "\n")
    if not _FORMULA.match(cell):
        return cell
    with suppress(ValueError):
        float(cell)
        return cell
    return f"'{cell}"
