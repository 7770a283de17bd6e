"""Compute win rates: which of two responses to a prompt is better, by a language model or by a judge's scores.

A win counts 1, a tie 1/2, a loss 0, as in AlpacaEval's win rate; SEAL (Shen et al., 2025, arXiv 2410.07471) and
DualSelect (arXiv 2606.09866) compare with standard fine-tuning in this way. Language models favour one position (Zheng
et al., 2023, arXiv 2306.05685), so each pair is asked in both orders and the score is the mean. A model that always
says "first" thus gives every pair 1/2, and a response compared with itself gets exactly 1/2 whatever the model says.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ballast.asking import language_model
from ballast.asking.judging import NO_ANSWER, PARSED, TOO_LONG, UNPARSABLE, check_readable, without_reasoning
from ballast.files import BallastError, read_json

FIELDS = ("prompt", "first", "second")
MAX_NEW_TOKENS = 16
# The first reply's score by the model's word.
VERDICTS = {"first": 1.0, "tie": 0.5, "second": 0.0}

_VERDICT = re.compile(rf"\W*({'|'.join(VERDICTS)})\W*", re.IGNORECASE)


@dataclass(frozen=True)
class Template:
    """A template's text around its three fields. Joined, never formatted: braces in a reply are text."""

    pieces: tuple[str, str, str, str]

    @classmethod
    def load(cls, path: str | Path) -> "Template":
        """Read the template at `path`; it must hold {prompt}, {first} and {second} in this order, once each."""
        raw = read_json(path)
        text = raw.get("template", "") if isinstance(raw, dict) else ""
        parts = re.split(rf"\{{({'|'.join(FIELDS)})\}}", text)
        if tuple(parts[1::2]) != FIELDS:
            raise BallastError(
                f"{path}: 'template' must hold {{prompt}}, {{first}} and {{second}}, in this order, once"
            )
        return cls(tuple(parts[::2]))

    def render(self, prompt: str, first: str, second: str) -> str:
        opening, between, middle, closing = self.pieces
        return opening + prompt + between + first + middle + second + closing


def parse(answer: str | None) -> float | None:
    """Return the first reply's score: 1 better, 0.5 tie, 0 worse; None if the answer is not one of the words."""
    said = _VERDICT.fullmatch(answer or "")
    return VERDICTS[said[1].lower()] if said else None


def compare(name: str, pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Compare `response` with `other` of each row's `prompt` by a language model, in both orders.

    `options`: those of `language_model.ask`, template (file) and max_unparsable. Returns the columns of `scored`. A
    comparison with one unreadable answer is missing as a whole, since one order alone may only show the model's
    favourite position; so is one with a response that never ended its reasoning. The model reads responses without
    reasoning. Raises BallastError if more than max_unparsable of them are missing.
    """
    template, index = Template.load(options["template"]), pairs.index
    pairs = without_reasoning(name, pairs, options)
    theirs = without_reasoning(name, pairs.assign(response=pairs["other"]), options)
    pairs = pairs.loc[theirs.index].assign(other=theirs["response"])
    ours_first = map(template.render, pairs["prompt"], pairs["response"], pairs["other"])
    ours_second = map(template.render, pairs["prompt"], pairs["other"], pairs["response"])
    said = language_model.ask([*ours_first, *ours_second], options, MAX_NEW_TOKENS)
    answers = said.answers[: len(pairs)], said.answers[len(pairs) :]
    first, second = ([parse(answer) for answer in each] for each in answers)
    silent = TOO_LONG if set(said.missing) <= {language_model.TOO_LONG} else UNPARSABLE
    status = [
        PARSED if None not in (one, two) else silent if None in (left, right) else UNPARSABLE
        for one, two, left, right in zip(first, second, *answers, strict=True)
    ]
    check_readable(name, pd.Series(status), options["max_unparsable"])
    second = [None if value is None else 1 - value for value in second]
    words = [" | ".join(answer or "" for answer in both) for both in zip(*answers, strict=True)]
    table = scored(first, second, words, status, pairs.index)
    return table.reindex(index).fillna({"answer": "", "answer_status": NO_ANSWER})


def compare_scores(ours: pd.DataFrame, theirs: pd.DataFrame, direction: str) -> pd.DataFrame:
    """Compare two judged responses to each prompt (rows in the same order) by their scores; equal ones tie.

    There are no orders, so `first` equals `second`. A comparison is missing if a score is, for the same reason.
    """
    lead = ours["score"] - theirs["score"] if direction == "higher" else theirs["score"] - ours["score"]
    result = (lead > 0).where(lead != 0, 0.5).astype(float).where(lead.notna())
    status = ours["answer_status"].where(ours["answer_status"] != PARSED, theirs["answer_status"])
    return scored(result, result, "", status, ours.index)


def scored(first, second, answer, status, index: pd.Index) -> pd.DataFrame:
    """Return the comparisons as scores: the mean of our response's results as `first` and as `second` reply."""
    table = pd.DataFrame({"first": first, "second": second}, index=index).astype("float64")
    table = table.where(pd.Series(status, index=index) == PARSED)
    return table.assign(score=(table["first"] + table["second"]) / 2, answer=answer, answer_status=status)
