"""Read the samples that lm-evaluation-harness 0.4 (EleutherAI) writes with `--log_samples`, one response a line.

The request is the prompt of the task's own row (`doc`), under a usual name, else the text that the model was given. The
response is the first one, before any filter of the harness.
"""

import pandas as pd

from ballast.data.records import records
from ballast.files import BallastError

GIVES = "pairs"
USUAL = ("prompt", "question", "instruction", "request", "goal")
OWN = {"doc", "resps"}  # columns of no other form


def is_samples(path: str) -> bool:
    """Return whether a file's first record is one of the harness."""
    return next(records(path), {}).keys() >= OWN


def read(path: str) -> pd.DataFrame:
    """Return instruction, input (empty) and output in file order; raise BallastError at a row without texts."""
    rows = [(_request(row), "", _response(row)) for row in records(path)]
    for number, (request, _, response) in enumerate(rows):
        if not isinstance(request, str):
            known = ", ".join(USUAL)
            raise BallastError(f"{path}: row {number}: no prompt in 'doc' ({known}), and no text in 'arguments'")
        if not isinstance(response, str):
            raise BallastError(
                f"{path}: row {number}: 'resps' holds no text; give the samples of a task whose output_type is "
                "generate_until"
            )
    return pd.DataFrame(rows, columns=["instruction", "input", "output"])


def _request(row: dict):
    doc = row.get("doc")
    own = [doc[name] for name in USUAL if isinstance(doc.get(name), str)] if isinstance(doc, dict) else []
    return own[0] if own else _first(_first(row.get("arguments")))


def _response(row: dict):
    return _first(_first(row.get("resps")))


def _first(values):
    """Return the first of a list, or of the values of an object, as newer versions number them; else None."""
    values = list(values.values()) if isinstance(values, dict) else values
    return values[0] if isinstance(values, list) and values else None
