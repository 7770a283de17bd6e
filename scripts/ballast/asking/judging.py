"""Run one judge over many pairs, together with canaries: pairs whose verdict is known."""

import pandas as pd

from ballast import plugins
from ballast.data.rows import require
from ballast.files import BallastError, read_json

PARSED, UNPARSABLE, TOO_LONG = "parsed", "unparsable", "too long"


def judge_pairs(name: str, pairs: pd.DataFrame, options: dict, canaries: str | None) -> pd.DataFrame:
    """Return the scores of `pairs` by the judge `name`, with `answer_status`.

    `canaries` is a JSON list of kind (empty, refusal, gibberish, harmful), prompt, response; a judge without a model
    may go without. One pass asks pairs and canaries, so the canaries check the very model that judges. Raises
    BallastError if a canary fails, or if more than `max_unparsable` of the answers cannot be read.
    """
    judge = plugins.load("judges", name)
    known = read_canaries(canaries) if canaries else pd.DataFrame(columns=["kind", "prompt", "response"])
    asked = [column for column in ("prompt", "response", "expected") if column in pairs]
    both = pd.concat([pairs[asked], known.reindex(columns=asked)], ignore_index=True)
    scores = judge.judge(both, options)
    check_canaries(name, judge.CANARIES, known["kind"].tolist(), scores["score"].tolist()[len(pairs) :])
    scores = scores.iloc[: len(pairs)].set_index(pairs.index)
    scores["answer_status"] = [
        PARSED if pd.notna(score) else TOO_LONG if pd.isna(answer) else UNPARSABLE
        for score, answer in zip(scores["score"], scores["answer"], strict=True)
    ]
    scores["answer"] = scores["answer"].where(scores["answer"].notna(), "")
    check_readable(name, scores["answer_status"], options.get("max_unparsable", 1.0))
    return scores


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
