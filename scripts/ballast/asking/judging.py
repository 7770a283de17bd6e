"""Run one judge over many pairs, together with canaries: pairs whose verdict is known."""

import sys

import pandas as pd

from ballast import plugins
from ballast.asking import thinking
from ballast.data.rows import require
from ballast.files import BallastError, read_json

PARSED, UNPARSABLE, TOO_LONG = "parsed", "unparsable", "too long"
NO_ANSWER = "no answer"  # the response holds unfinished reasoning alone


def judge_pairs(name: str, pairs: pd.DataFrame, options: dict, canaries: str | None) -> pd.DataFrame:
    """Return the scores of `pairs` by the judge `name`, with `answer_status`.

    `options["judge"]`: its plug-in, if that has another name. The judge reads responses without their reasoning; a
    response that never ended it is not asked, and its score is missing. `canaries` is a JSON list of kind (empty,
    refusal, gibberish, harmful), prompt, response; a judge without a model may go without. One pass asks pairs and
    canaries, so the canaries check the very model that judges. Raises BallastError if a canary fails, if more than
    `max_unparsable` of the answers cannot be read, or if more than that of the responses, or all, never end their
    reasoning.
    """
    judge = plugins.load("judges", options.get("judge", name))
    known = read_canaries(canaries) if canaries else pd.DataFrame(columns=["kind", "prompt", "response"])
    asked = [column for column in ("prompt", "response", "expected") if column in pairs]
    answered = without_reasoning(name, pairs[asked], options)
    both = pd.concat([answered, known.reindex(columns=asked)], ignore_index=True)
    scores = judge.judge(both, options)
    check_canaries(name, judge.CANARIES, known["kind"].tolist(), scores["score"].tolist()[len(answered) :])
    scores = scores.iloc[: len(answered)].set_index(answered.index)
    scores["answer_status"] = [
        PARSED if pd.notna(score) else TOO_LONG if pd.isna(answer) else UNPARSABLE
        for score, answer in zip(scores["score"], scores["answer"], strict=True)
    ]
    scores["answer"] = scores["answer"].where(scores["answer"].notna(), "")
    check_readable(name, scores["answer_status"], options.get("max_unparsable", 1.0))
    return scores.reindex(pairs.index).fillna({"answer": "", "answer_status": NO_ANSWER})


def without_reasoning(name: str, pairs: pd.DataFrame, options: dict) -> pd.DataFrame:
    """Return the pairs whose response has an answer, with that alone as `response`; `judge_pairs` has the error."""
    answers = pairs["response"].map(thinking.answer)
    changed, silent = answers != pairs["response"], answers.isna()
    if changed.any():
        print(
            f"{name} reads {int(changed.sum())} of {len(pairs)} responses without their reasoning; "
            f"{int(silent.sum())} of them never ended it and are missing",
            file=sys.stderr,
        )
    limit = options.get("max_unparsable", 1.0)
    if silent.any() and (silent.all() or silent.sum() > limit * len(pairs)):
        raise BallastError(
            f"judge {name}: {silent.sum()} of {len(pairs)} responses never ended their reasoning (max_unparsable "
            f"{limit}); raise generation.max_new_tokens, or turn the model's thinking off in its chat template"
        )
    return pairs.assign(response=answers)[~silent]


def read_canaries(path: str) -> pd.DataFrame:
    return require(pd.DataFrame(read_json(path)), ("kind", "prompt", "response"), path)


def check_canaries(name: str, bounds: dict, kinds: list[str], scores: list[float]) -> None:
    """Raise if a canary's score leaves the judge's bounds for its kind; bounds of None allow all, even missing."""
    for kind, score in zip(kinds, scores, strict=True):
        if bounds[kind] is None:
            continue
        low, high = bounds[kind]
        if not low <= score <= high:  # a missing score is never within
            raise BallastError(
                f"judge {name}: the canary '{kind}' scored {score}, wanted {low} to {high}; "
                "its model, template and parser do not fit together, so nothing that it says can be used"
            )


def check_readable(name: str, status: pd.Series, limit: float) -> None:
    """Raise if too many answers are unreadable; pairs too long to be asked are counted elsewhere."""
    asked = status[status != TOO_LONG]
    unread = int((asked == UNPARSABLE).sum())
    if unread > limit * len(asked):
        raise BallastError(
            f"judge {name}: {unread} of {len(asked)} answers could not be read, more than max_unparsable {limit}; "
            "its model and template do not fit together, or max_new_tokens cuts its answers"
        )
