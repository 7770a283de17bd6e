"""Write the sentences that tables and figures share: the judges, the meaning of ±, missing scores."""

from collections.abc import Iterable

import pandas as pd

from ballast.results import metrics
from ballast.results.metrics import METRICS
from ballast.study.artefacts import Options

COLUMNS = (
    "The interval is Student's t over runs, for a rate Wilson's with Student's t; it is neither SD nor SE. The CSV has "
    "SD (`sd`), SE (`se`), this interval (`low_t`, `high_t`) and that of the two-way bootstrap over runs and prompts "
    "(`low_two_way`, `high_two_way`)."
)


def synthetic(options: Options) -> list[str]:
    if not options.synthetic:
        return []
    return [
        f"`{options.study}` is a synthetic study: tiny models and a made language; it shows the workflow, not LLMs."
    ]


def judged_by(options: Options, shown: Iterable[str] | None = None) -> list[str]:
    """Return the judge of each metric, or of those `shown`, and its stand-in if there is one."""
    judges = {metric: judge for metric, judge in options.judges.items() if shown is None or metric in shown}
    said = [
        f"{METRICS[metric].label}: judge `{judge}` on {options.benchmarks.get(metric, METRICS[metric].benchmark)}."
        for metric, judge in judges.items()
    ]
    unseen = set(options.judges.values()) - set(judges.values())
    return said + [sentence for judge, sentence in options.stand_ins.items() if judge not in unseen]


def mark(options: Options) -> str:
    """Return where a table shows the interval: ± for means of scores, brackets for rates."""
    rates = {metrics.metric(name, options).rate for name in options.judges}
    return "± or in brackets" if len(rates) > 1 else "In brackets" if rates == {True} else "±"


def intervals(table: pd.DataFrame, mark: str) -> str:
    """Return the meaning of `mark` (± or the bars of a figure) and the number of trials."""
    trials = table.loc[table["trials"] > 0, "trials"]
    if trials.empty:
        return "Nothing is shown: the study has no run of these samplers."
    low, high = int(trials.min()), int(trials.max())
    if high == 1:
        return "One trial a cell, so no interval."
    several = int(trials[trials > 1].min())
    span = f"{high} trials" if several == high else f"{several} to {high} trials"
    return f"{mark}: 95 % interval over {span}" + (", none where there is one trial." if low == 1 else ".")


def counts(table: pd.DataFrame) -> str:
    """Return the numbers of unreadable answers, unasked pairs and cut responses; the CSV has them by cell."""
    unasked = int(table["too_long"].sum())
    asked = int(table["judged"].sum() + table["unparsable"].sum())
    why = "too long for the judge, or without an answer after the response's reasoning"
    long = f"{unasked:,} more pairs were {why}, and are missing too. " if unasked else ""
    return (
        f"{int(table['unparsable'].sum()):,} of {asked:,} judge answers could not be parsed: they are missing, not 0. "
        f"{long}"
        f"{int(table['truncated'].sum()):,} of {asked + unasked:,} responses ran to the length limit."
    )
