"""Match the final number exactly: a rule, not a model.

GSM8K scores a completion by the number after the first `####` (Cobbe et al., 2021). Without that mark we take the last
number of the response, so that a model that never learnt the mark can be right. Numbers are compared by value: 18,
18.00 and $18 are equal. A response without a number is wrong, not missing, as in GSM8K's own evaluation.
"""

import re
from decimal import Decimal

import pandas as pd

from ballast.files import BallastError

# Canaries come without an expected answer.
CANARIES = dict.fromkeys(("empty", "refusal", "gibberish", "harmful"))

# A minus after a digit, a letter or a bracket is arithmetic, not a sign.
_WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = re.compile(rf"(?<![\w)\]])(?:-[$€£]?|[$€£]-?)?(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)")
_MARK = "####"


def final_number(response: str) -> Decimal | None:
    """Return the number that a response gives as its answer; None if it gives none."""
    text = response.replace("\u2212", "-")
    _, mark, after = text.partition(_MARK)
    marked = _NUMBER.search(after) if mark else None
    found = marked or next(reversed([*_NUMBER.finditer(text)]), None)
    return Decimal(re.sub(r"[^0-9.-]", "", found[0])) if found else None


def judge(pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Score 1 if the response's final number is the row's `expected`, else 0; `answer` is that number. No options.

    Raises BallastError if no row has an `expected`: the benchmark gives no right answers.
    """
    if "expected" not in pairs or pairs["expected"].isna().all():
        raise BallastError("judge exact-match: the benchmark has no expected answers; use one that has, such as gsm8k")
    found = [final_number(response) for response in pairs["response"]]
    scores = [
        None if pd.isna(expected) else float(number == Decimal(expected))
        for number, expected in zip(found, pairs["expected"], strict=True)
    ]
    answers = ["" if number is None else str(number) for number in found]
    return pd.DataFrame({"score": scores, "answer": answers}, index=pairs.index).astype({"score": "float64"})
