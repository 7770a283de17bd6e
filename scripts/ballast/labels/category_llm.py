"""Label harm categories with a language model: one or more ids of 0..13, or none (paper section 3.2).

The paper names neither model nor prompt. The template is a file that also sets the form of the answer: `"answer":
"json"` for `{"categories": [3, 7]}`, which backends enforce if they can; else words, "3, 7" or "none". One parser
reads both, and nothing else.
"""

import re

import pandas as pd

from ballast.asking import language_model
from ballast.asking.answers import Answers
from ballast.asking.judging import PARSED, TOO_LONG, UNPARSABLE
from ballast.asking.prompts import PairTemplate
from ballast.categories import CATEGORIES
from ballast.files import BallastError, read_json

UNANSWERED = "unanswered"
MOST = 4  # ids in an answer; a longer list says nothing about the topic
# No `uniqueItems`: grammars for constrained decoding cannot enforce it; the parser drops repeats.
SCHEMA = {
    "type": "object",
    "properties": {
        "categories": {
            "type": "array",
            "items": {"type": "integer", "enum": list(range(len(CATEGORIES)))},
            "maxItems": MOST,
        }
    },
    "required": ["categories"],
    "additionalProperties": False,
}
# By the template's `answer`: the longest answer in tokens, and the schema that the backend enforces.
FORMS = {"words": (16, None), "json": (48, SCHEMA)}

_SPACE, _ID = r"[ \t\r\n]*", r"(?:1[0-3]|[0-9])"
_IDS = rf"{_ID}(?:{_SPACE},{_SPACE}{_ID})*"
_WORDS = re.compile(rf"(?:none|{_IDS})\.*", re.IGNORECASE)
_JSON = re.compile(rf'\{{{_SPACE}"categories"{_SPACE}:{_SPACE}\[{_SPACE}(?:{_IDS})?{_SPACE}\]{_SPACE}\}}')


def parse(answer: str | None) -> list[int] | None:
    """Return category ids in the answer's order; [] for none; None if it is unreadable or names no category."""
    text = (answer or "").strip()
    if not (_WORDS.fullmatch(text) or _JSON.fullmatch(text)):
        return None
    ids = list(dict.fromkeys(int(part) for part in re.findall("[0-9]+", text)))
    return ids if len(ids) <= MOST else None


def label(pairs: pd.DataFrame, options: dict) -> tuple[pd.DataFrame, Answers]:
    """Return categories (a list; empty for none or unread) and status of prompt-response pairs, and the answers.

    `options`: template (file), and those of `language_model.ask`. A status is parsed, unparsable, too long (not asked),
    or unanswered (a server gave nothing). An empty list means "none" only in a parsed row.
    """
    texts = PairTemplate.load(options["template"]).render_all(pairs)
    max_new_tokens, schema = _form(options["template"])
    said = language_model.ask(texts, options, max_new_tokens, schema=schema)
    silent = TOO_LONG if set(said.missing) <= {language_model.TOO_LONG} else UNANSWERED
    parsed = [parse(answer) for answer in said.answers]
    labels = {
        "categories": [categories or [] for categories in parsed],
        "status": [
            silent if answer is None else UNPARSABLE if categories is None else PARSED
            for answer, categories in zip(said.answers, parsed, strict=True)
        ],
    }
    return pd.DataFrame(labels, index=pairs.index), said


def _form(template: str) -> tuple[int, dict | None]:
    name = read_json(template).get("answer", "words")
    if name not in FORMS:
        raise BallastError(f"{template}: 'answer' must be one of {', '.join(FORMS)}")
    return FORMS[name]
