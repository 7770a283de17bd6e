"""Harm categories by a causal LM: one or more ids of 0..13, or none (paper section 3.2).

The paper names neither model nor prompt; the template is a file and the answer's format is ours: "3", "3, 7" or "none".
"""

import re

import pandas as pd

from ballast.backends import transformers as backend
from ballast.prompts import PairTemplate

MAX_NEW_TOKENS = 16
_ANSWER = re.compile(r"none|\d{1,2}(\s*,\s*\d{1,2})*", re.IGNORECASE)


def parse(answer: str) -> list[int] | None:
    """Category ids in the order of the answer; [] for none; None where it is unreadable or names no category."""
    text = answer.strip().rstrip(".")
    if not _ANSWER.fullmatch(text):
        return None
    ids = list(dict.fromkeys(int(part) for part in re.findall(r"\d+", text)))
    return ids if all(category < 14 for category in ids) else None


def label(pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """categories (a list; empty for none or unread) and status ("parsed", "unparsable") of prompt-response pairs.

    `options`: model (folder), template (file), batch_size, max_length (tokens).
    """
    texts = PairTemplate.load(options["template"]).render_all(pairs)
    answers = backend.answer(options["model"], texts, options["batch_size"], options["max_length"], MAX_NEW_TOKENS)
    parsed = [parse(answer) for answer in answers]
    return pd.DataFrame(
        {
            "categories": [categories or [] for categories in parsed],
            "status": ["unparsable" if categories is None else "parsed" for categories in parsed],
        },
        index=pairs.index,
    )
