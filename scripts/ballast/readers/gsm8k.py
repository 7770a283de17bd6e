"""Read GSM8K (Cobbe et al., 2021, arXiv 2110.14168) as a benchmark: JSON lines of question, answer.

An answer is worked steps, then a line `#### n`. The judge exact-match compares a response with n.
"""

import re

import pandas as pd

from ballast.data.records import records
from ballast.data.rows import require
from ballast.files import BallastError

GIVES = "prompts"
# Every published row ends like this; thousands have commas.
_FINAL = re.compile(r"#### (-?[0-9][0-9,]*(?:\.[0-9]+)?)\s*\Z")


def read(path: str) -> pd.DataFrame:
    """Return prompt and expected (the final number, without commas), in file order."""
    table = rows(path)
    found = [_FINAL.search(answer) for answer in table["answer"]]
    if None in found:
        raise BallastError(f"{path}: row {found.index(None)}: 'answer' does not end in '#### ' and a number")
    return pd.DataFrame({"prompt": table["question"], "expected": [match[1].replace(",", "") for match in found]})


def rows(path: str) -> pd.DataFrame:
    """Return question and answer as in the file."""
    return require(pd.DataFrame(records(path)), ("question", "answer"), path)[["question", "answer"]]
