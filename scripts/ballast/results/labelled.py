"""How right the behaviour labeller and the judges are, as far as the study can know."""

import pandas as pd

from ballast.files import BallastError
from ballast.judging import UNPARSABLE
from ballast.labels.behaviour import UNKNOWN
from ballast.results import agreement
from ballast.results.findings import FINE, LOOK, UNDECIDED, Finding

JUDGES = "judges and their canaries"
# Share of a judge's answers: each one that is missing may have been either verdict, so a rate may be off by as much.
UNREAD = 0.05


def accuracy(behaviour: pd.DataFrame, people: pd.DataFrame | None, truth: pd.DataFrame | None) -> str:
    """What is known of the behaviour labeller, in one clause.

    `behaviour`: the behaviour stage's table. `people`: a filled sheet as `annotation.read_sheet` reads it. `truth`: the
    mini world's own, columns row and behaviour, by the order of the pool.
    """
    name = str(behaviour["judge"].iloc[0])
    judge = agreement.by_judge(name, behaviour).answers["behaviour"]
    known = {}
    if people is not None:
        known["people"] = agreement.by_people("people", people).answers["behaviour"]
    if truth is not None:
        if len(truth) < len(behaviour):
            raise BallastError(f"the mini world's truth has {len(truth)} rows, the pool {len(behaviour)}; make it anew")
        known["the made world's own truth"] = pd.Series(
            truth["behaviour"].to_numpy()[: len(behaviour)], index=behaviour["id"]
        )
    said = [_right(judge, labels, by) for by, labels in known.items() if labels.notna().any()]
    return f"behaviour labeller {name}: {'; '.join(said) if said else 'accuracy not measured, no row is labelled'}"


def judges(answers: pd.DataFrame, canaries: dict[str, bool]) -> Finding:
    """Whether the judges can be believed. `answers`: columns judge, answer_status; `canaries`: whether each has some.

    A judge that fails a canary fails its job (`judging.py`), so a score that is there is of a judge that passed.
    """
    unread = answers["answer_status"].eq(UNPARSABLE).groupby(answers["judge"]).mean()
    used = {name: given for name, given in sorted(canaries.items()) if name in unread.index}
    if not used:
        return Finding(JUDGES, UNDECIDED, "no judge has scored anything", "judge the runs", threshold=UNREAD)
    passed, without = [name for name in used if used[name]], [name for name in used if not used[name]]
    parts = [f"passed in every job, else there would be no scores: {', '.join(passed)}"] if passed else []
    parts += [f"without canaries: {', '.join(without)}"] if without else []
    worst = str(unread.idxmax())
    parts.append(f"answers that could not be read: at most {100 * unread[worst]:.1f} % ({worst})")
    details = [f"{name}: {100 * share:.2f} % of its answers could not be read" for name, share in unread.items()]
    verdict, to_try = FINE, "nothing"
    if unread[worst] > UNREAD:
        verdict, to_try = LOOK, f"check the prompt template and max_length of {worst} against its model's card"
    elif without:
        verdict, to_try = UNDECIDED, f"give judges.{without[0]}.canaries: pairs with a known verdict"
    return Finding(JUDGES, verdict, "; ".join(parts), to_try, float(unread[worst]), UNREAD, details)


def _right(judge: pd.Series, labels: pd.Series, by: str) -> str:
    pair = pd.DataFrame({"judge": judge, "label": labels}).loc[labels.dropna().index]
    told = pair["judge"].notna()
    right = 100 * (pair["judge"] == pair["label"]).sum() / len(pair)
    kappa = agreement.kappa(pair.loc[told, "judge"].tolist(), pair.loc[told, "label"].tolist())
    return (
        f"right on {right:.1f} % of {len(pair):,} rows labelled by {by} ({(~told).sum()} {UNKNOWN}, kappa {kappa:.2f})"
    )
