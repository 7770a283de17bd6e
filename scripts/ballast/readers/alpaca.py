"""Alpaca's schema: a JSON list (or JSON lines) of instruction, input, output. `input` may be absent."""

import pandas as pd

from ballast.files import BallastError, read_json, read_jsonl
from ballast.rows import PAIR, require


def read(path: str) -> pd.DataFrame:
    """instruction, input, output in file order. Empty outputs are kept: the original Alpaca has some."""
    rows = read_jsonl(path) if str(path).endswith(".jsonl") else read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BallastError(f"{path}: wanted a list of objects with instruction, input and output")
    table = pd.DataFrame(rows)
    if not table.empty and "input" not in table:
        table["input"] = ""
    return require(table, PAIR, path)[list(PAIR)]
