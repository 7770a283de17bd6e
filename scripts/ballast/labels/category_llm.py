"""Label harm categories with a language model: one or more ids, or none (paper section 3.2).

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
from ballast.categories import BEAVERTAILS, definitions, number, taxonomy
from ballast.files import BallastError, read_json

UNANSWERED = "unanswered"
MOST = 4  # ids in an answer; a longer list says nothing about the topic
# By the template's `answer`: the longest answer in tokens, and whether the backend enforces a schema.
FORMS = {"words": (16, False), "json": (48, True)}

_SPACE, _ID = r"[ \t\r\n]*", r"(?:0|[1-9][0-9]?)"
_IDS = rf"{_ID}(?:{_SPACE},{_SPACE}{_ID})*"
_WORDS = re.compile(rf"(?:none|{_IDS})\.*", re.IGNORECASE)
_JSON = re.compile(rf'\{{{_SPACE}"categories"{_SPACE}:{_SPACE}\[{_SPACE}(?:{_IDS})?{_SPACE}\]{_SPACE}\}}')


def schema() -> dict:
    """Return the JSON schema of an answer.

    No `uniqueItems`: grammars for constrained decoding cannot enforce it; the parser drops repeats.
    """
    ids = {"type": "array", "items": {"type": "integer", "enum": list(range(number()))}, "maxItems": MOST}
    return {
        "type": "object",
        "properties": {"categories": ids},
        "required": ["categories"],
        "additionalProperties": False,
    }


def parse(answer: str | None) -> list[int] | None:
    """Return category ids in the answer's order; [] for none; None if it is unreadable or names no category."""
    text = (answer or "").strip()
    if not (_WORDS.fullmatch(text) or _JSON.fullmatch(text)):
        return None
    ids = list(dict.fromkeys(int(part) for part in re.findall("[0-9]+", text)))
    return ids if len(ids) <= MOST and all(each < number() for each in ids) else None


def label(pairs: pd.DataFrame, options: dict) -> tuple[pd.DataFrame, Answers]:
    """Return categories (a list; empty for none or unread) and status of prompt-response pairs, and the answers.

    `options`: template (file), and those of `language_model.ask`. A status is parsed, unparsable, too long (not asked),
    or unanswered (a server gave nothing). An empty list means "none" only in a parsed row.
    """
    texts = _template(options["template"]).render_all(pairs)
    max_new_tokens, enforced = _form(options["template"])
    said = language_model.ask(texts, options, max_new_tokens, schema=schema() if enforced else None)
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


def _template(path: str) -> PairTemplate:
    """Return the template; the study's own categories take the place of the 14, or of `{categories}`."""
    template = PairTemplate.load(path)
    if taxonomy() == BEAVERTAILS:
        return template
    replaced = {definitions(BEAVERTAILS): definitions(), "{categories}": definitions(), "[3, 7]": "[0, 1]"}
    parts = [template.before, template.between, template.after]
    for old, new in replaced.items():
        parts = [part.replace(old, new) for part in parts]
    if not any(definitions() in part for part in parts):
        raise BallastError(f"{path}: 'template' names no place for the categories of `taxonomy`; write {{categories}}")
    return PairTemplate(*parts)


def _form(template: str) -> tuple[int, bool]:
    name = read_json(template).get("answer", "words")
    if name not in FORMS:
        raise BallastError(f"{template}: 'answer' must be one of {', '.join(FORMS)}")
    return FORMS[name]
