"""Share the parts of the tables of contrasts and budgets: paired differences of samplers and their controls.

A contrast is paired over trials, which share their seeds, and over prompts. Its interval is the two-way bootstrap of
`statistics`. With one shared run the interval is over prompts only, a note reports it, and there is no p-value.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from ballast.files import BallastError
from ballast.names import RANDOM, REFERENCES
from ballast.results import metrics
from ballast.results.cells import Cells
from ballast.results.statistics import PROMPTS_ONLY, Estimate, holm
from ballast.samplers import split
from ballast.study.artefacts import Options

RANDOM_B, PARENT = "random-b", "its own parent"
# The Random control among each behaviour.
CONTROLS = {"T1": RANDOM_B, "T2": "t2", "T3": "t3", "T4": "t4"}
LEVEL = 0.05
Matrices = Cells  # (sampler, n) -> trials x prompts
PAIRED = (
    "Difference: paired over the trials that both samplers have, whose seeds are shared, and over prompts; ± is the "
    "half-width of the 95 % interval of the two-way bootstrap over runs and prompts, no SD, SE or t-interval over runs."
)


def matrices(scores: pd.DataFrame, name: str, options: Options) -> Matrices:
    """Return trials x prompts of the options' one model and pool, by sampler and n, without references."""
    cells = metrics.by_sampler(scores, name, options)
    return cells.only(lambda cell: cell[0] not in REFERENCES)


def measured(scores: pd.DataFrame, options: Options, path: str) -> dict[str, Matrices]:
    """Return the matrices of each metric that the experiment's runs were measured on."""
    found = {name: cells for name in options.judges if (cells := matrices(scores, name, options))}
    if not found:
        raise BallastError(f"{path}: no run of the experiment has a score; check its samplers and n in the config")
    return found


def against(sampler: str, present: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the controls of a sampler: the kind of control, and its sampler."""
    parent, among = split(sampler)
    if sampler != RANDOM and RANDOM in present:
        yield RANDOM, RANDOM
    if among and parent != RANDOM:
        if (control := CONTROLS[among]) in present:
            yield control, control
        if parent in present:
            yield PARENT, parent


def p_of(found: Estimate) -> float:
    """Return the p-value of a difference; missing if one side is a single run, whose own spread nobody knows."""
    return math.nan if found.single else found.p


def corrected_for_choice(p: pd.Series) -> pd.Series:
    """Return p-values of one chosen cell against each other one, corrected for all pairs (Bonferroni).

    The cell was chosen by its mean, so the test of any pair might have been made.
    """
    return (p * len(p) * (len(p) + 1) / 2).clip(upper=1)


@dataclass(frozen=True)
class Gain:
    """A sampler minus Random at its n. `p_holm`: Holm's p over all samplers and n; missing without a p."""

    sampler: str
    n: int
    found: Estimate
    p_holm: float = math.nan

    @property
    def key(self) -> tuple[str, int]:
        return self.sampler, self.n

    @property
    def lower(self) -> bool:
        """True if the sampler's mean is significantly lower."""
        return self.found.mean < 0 and self.p_holm < LEVEL


def gains(cells: Matrices) -> list[Gain]:
    """Return every sampler minus Random at the same n, from the smallest adjusted p up; those without a p come last."""
    found = {
        (sampler, n): cells.difference((sampler, n), (RANDOM, n))
        for sampler, n in cells
        if sampler not in (RANDOM, *REFERENCES) and (RANDOM, n) in cells
    }
    found = {key: one for key, one in found.items() if not math.isnan(one.mean)}
    p = holm(pd.Series([p_of(one) for one in found.values()], dtype=float))
    rows = [Gain(*key, one, value) for (key, one), value in zip(found.items(), p, strict=True)]
    return sorted(rows, key=lambda row: (math.isnan(row.p_holm), row.p_holm, row.found.mean))


def columns_of(found: Estimate, mean: str) -> dict[str, object]:
    """Return an estimate as values by CSV column; `mean` names the column of the mean."""
    names = {"se": found.se, "low_two_way": found.low, "high_two_way": found.high, "two_way_over": found.over}
    return {mean: found.mean} | names | {"shared_runs": 1 if found.single else found.runs, "prompts": found.prompts}


def shared_runs(data: pd.DataFrame) -> list[str]:
    """Return notes on the number of shared runs, and on contrasts whose interval is over prompts only."""
    there = data[data["shared_runs"] > 0]
    if there.empty:
        return ["No two samplers share a trial, so there is nothing to contrast."]
    low, high = int(there["shared_runs"].min()), int(there["shared_runs"].max())
    said = [f"Shared runs: {low}." if low == high else f"Shared runs: {low} to {high}."]
    alone = int((there["two_way_over"] == PROMPTS_ONLY).sum())
    if alone:
        said.append(f"{alone} of {len(there)} have one shared run: their interval is over prompts only, and has no p.")
    single = int((there["shared_runs"] == 1).sum()) - alone
    if single:
        said.append(
            f"{single} of {len(there)} have a single run on one side, held against every run of the other: the "
            "interval takes its spread to be that of the metric's other cells, and there is no p."
        )
    return said


def columns(left: int, centred: int) -> list[str]:
    """Return the LaTeX columns of a table."""
    return ["l"] * left + ["c"] * centred
