"""Match the final number exactly: a rule, not a model.

GSM8K scores a completion by the number after the first `####` (Cobbe et al., 2021). Without that mark we take the last
number of the response, so that a model that never learnt the mark can be right. Numbers are compared by value: 18,
18.00, $18 and 18% are equal, in a response and in `expected`. A response without a number is wrong, not missing, as in
GSM8K's own evaluation.
"""

import re
from decimal import Decimal

import pandas as pd

from ballast.data.absent import present
from ballast.files import BallastError

UNIT = "%"
DIRECTION = "higher"
# Canaries come without an expected answer.
CANARIES = dict.fromkeys(("empty", "refusal", "gibberish", "harmful"))

# A minus after a digit, a letter or a bracket is arithmetic, not a sign.
_WHOLE = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = re.compile(rf"(?<![\w)\]])(?:-[$€£]?|[$€£]-?)?(?:{_WHOLE}(?:\.[0-9]+)?|\.[0-9]+)")
_MARK = "####"
_MINUS = "\u2212"


def final_number(response: str) -> Decimal | None:
    """Return the number that a response gives as its answer; None if it gives none."""
    text = response.replace(_MINUS, "-")
    _, mark, after = text.partition(_MARK)
    marked = _NUMBER.search(after) if mark else None
    found = marked or next(reversed([*_NUMBER.finditer(text)]), None)
    return _value(found[0]) if found else None


def right_number(expected: object, place: str) -> Decimal | None:
    """Return the number that a row's `expected` is as a whole, None if it is empty; BallastError names the `place`."""
    blank = isinstance(expected, str) and not present(expected).strip()
    if blank or (pd.api.types.is_scalar(expected) and pd.isna(expected)):
        return None
    if isinstance(expected, int | float | Decimal) and not isinstance(expected, bool):
        number = Decimal(repr(float(expected))) if isinstance(expected, float) else Decimal(expected)
        if number.is_finite():
            return number
    elif isinstance(expected, str):
        text = expected.replace(_MINUS, "-")
        text = (text.partition(_MARK)[2] or text).rstrip(" .%$€£").strip()
        if _NUMBER.fullmatch(text):
            return _value(text)
    raise BallastError(
        f"{place}: 'expected' is not a number, and the judge exact-match compares numbers; correct it, leave it empty, "
        "or rename the column if no metric compares it"
    )


def _value(number: str) -> Decimal:
    return Decimal(re.sub(r"[^0-9.-]", "", number))


def judge(pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Score 1 if the response's final number is the row's `expected`, else 0; `answer` is that number. No options.

    Raises BallastError if no row has an `expected`, since the benchmark gives no right answers, or if one is no number.
    """
    given = pairs.get("expected", [])
    right = [right_number(expected, f"judge exact-match: row {row}") for row, expected in enumerate(given)]
    if not any(number is not None for number in right):
        raise BallastError("judge exact-match: the benchmark has no expected answers; use one that has, such as gsm8k")
    found = [final_number(response) for response in pairs["response"]]
    scores = [None if wanted is None else float(number == wanted) for number, wanted in zip(found, right, strict=True)]
    answers = ["" if number is None else str(number) for number in found]
    return pd.DataFrame({"score": scores, "answer": answers}, index=pairs.index).astype({"score": "float64"})
