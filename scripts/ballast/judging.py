"""One judge over many pairs, with canaries: pairs of a known verdict that go through the judge beside the real ones."""

import pandas as pd

from ballast import plugins
from ballast.files import BallastError, read_json
from ballast.rows import require


def judge_pairs(name: str, pairs: pd.DataFrame, options: dict, canaries: str | None) -> pd.DataFrame:
    """Scores of `pairs` by the judge `name`; BallastError where it fails its canaries.

    `canaries` is a JSON list of kind (empty, refusal, gibberish, harmful), prompt, response; a judge without a model
    may go without. Real pairs and canaries are asked in one pass, so what is checked is what judged.
    """
    judge = plugins.load("judges", name)
    known = read_canaries(canaries) if canaries else pd.DataFrame(columns=["kind", "prompt", "response"])
    both = pd.concat([pairs[["prompt", "response"]], known[["prompt", "response"]]], ignore_index=True)
    scores = judge.judge(both, options)
    check_canaries(name, judge.CANARIES, known["kind"].tolist(), scores["score"].tolist()[len(pairs) :])
    return scores.iloc[: len(pairs)].set_index(pairs.index)


def read_canaries(path: str) -> pd.DataFrame:
    return require(pd.DataFrame(read_json(path)), ("kind", "prompt", "response"), path)


def check_canaries(name: str, bounds: dict, kinds: list[str], scores: list[float]) -> None:
    """Raise where a canary's score leaves the judge's bounds for its kind; None as bounds allows all, missing too."""
    for kind, score in zip(kinds, scores, strict=True):
        if bounds[kind] is None:
            continue
        low, high = bounds[kind]
        if not low <= score <= high:  # a missing score is never within
            raise BallastError(
                f"judge {name}: the canary '{kind}' scored {score}, wanted {low} to {high}; "
                "its model, template and parser do not fit together, so nothing that it says can be used"
            )
