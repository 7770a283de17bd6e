"""Compare rows and runs with the same requests and the other kind of response: a refusal for an answer, or the reverse.

Behaviours differ in their requests too, so means by behaviour cannot tell the response's part. Here the request stays.
Gradients: the difference between two rows with one request, over all such pairs. Harm: the difference between two runs
that learnt the same requests with the same seed, paired over trials and prompts. Both are the second pool minus the
first.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ballast.data import requests
from ballast.files import BallastError
from ballast.picks.gradients import Gradients
from ballast.picks.selection import Features
from ballast.results import metrics, statistics
from ballast.results.gradients import Picked, by_row
from ballast.study.artefacts import Options

MEASURES = ("increase", "conflict")
EFFECTS = {"harm": "harm", "over_refusal": "over-refusal"}


class Difference(NamedTuple):
    """A mean difference with its 95 % interval and p-value; missing ones are NaN. `trials` is 0 for rows."""

    mean: float
    low: float
    high: float
    p: float
    trials: int = 0
    holm: float = math.nan


@dataclass(frozen=True)
class Swap:
    """Pairs of rows with one request: of a change of behaviour, or those that a sampler picked.

    `cosine`: mean and standard deviation of the cosine of the two rows' gradients. `differences`: by measure or effect.
    `lacking`: by effect, the trials that only one of the two pools has.
    """

    name: str
    n: int  # 0 for a change of behaviour
    pairs: int
    cosine: tuple[float, float]
    differences: dict[str, Difference]
    lacking: dict[str, int]


@dataclass(frozen=True)
class Swapped:
    """Everything that the page shows: swaps by behaviour, then by sampler, and counts of rows."""

    pools: tuple[str, str]
    behaviours: list[Swap]
    samplers: list[Swap]
    counts: dict[str, int]


class Pool(NamedTuple):
    """A pool's rows and features."""

    rows: pd.DataFrame
    features: Features


def compare(options: Options, first: Pool, second: Pool, scores: pd.DataFrame, picked: Picked) -> Swapped:
    """Return both comparisons. `picked`: the first pool's subsets. Raises BallastError if no request is in both pools.

    Pairs with a row that teaches nothing are counted and left out.
    """
    pairs, counts = requests.pairs(first.rows, second.rows)
    table = _paired(pairs, first.features, second.features)
    learnt = table.dropna(subset=["conflict", "increase"])
    counts["pairs"] = len(learnt)
    counts["that teach nothing"] = len(table) - len(learnt)
    if learnt.empty:
        raise BallastError("no pair of rows has a gradient in both pools; raise training.max_length and run again")
    cells = _cells(options, scores)
    behaviours = [
        _swap(f"{one} to {other}", 0, rows, {}, {})
        for (one, other), rows in learnt.groupby(["behaviour", "behaviour_other"])
    ]
    samplers = []
    for (sampler, n), by_trial in sorted(picked.items(), key=lambda each: (each[0][1], each[0][0])):
        ids = {row for some in by_trial.values() for row in some}
        samplers.append(_swap(sampler, n, learnt[learnt["one"].isin(ids)], *_effects(cells, (sampler, n))))
    return Swapped(tuple(options.experiment.pools), *_adjusted(behaviours, samplers), counts)


def _paired(pairs: pd.DataFrame, first: Features, second: Features) -> pd.DataFrame:
    """Return the pairs with both behaviours, the differences of the measures, and the cosine of both gradients."""
    one, other = (by_row(features).set_index("id") for features in (first, second))
    before, after = one.loc[pairs["one"]].reset_index(), other.loc[pairs["other"]].reset_index()
    found = pairs.assign(behaviour=before["behaviour"], behaviour_other=after["behaviour"])
    for measure in MEASURES:
        found[measure] = after[measure] - before[measure]
    there = found["conflict"].notna()
    found["cosine"] = np.nan
    found.loc[there, "cosine"] = _cosines(first.gradients, second.gradients, found[there])
    return found


def _cosines(first: Gradients, second: Gradients, pairs: pd.DataFrame) -> np.ndarray:
    """Return the cosine of each pair's gradients; `Gradients.find` keeps the order of the ids."""
    return np.vecdot(first.units(first.find(pairs["one"])), second.units(second.find(pairs["other"])))


def _cells(options: Options, scores: pd.DataFrame) -> dict[str, list[dict]]:
    """Return by metric, for each of the two pools, its runs by (sampler, n)."""
    grids = [replace(options.experiment, pools=(pool,)) for pool in options.experiment.pools]
    return {
        name: [metrics.by_sampler(scores, name, replace(options, experiment=grid)) for grid in grids]
        for name in EFFECTS
    }


def _effects(cells: dict[str, list[dict]], cell: tuple[str, int]) -> tuple[dict[str, Difference], dict[str, int]]:
    """Return the differences of harm and over-refusal, and the trials that only one pool has."""
    found, lacking = {}, {}
    for name, (before, after) in cells.items():
        if cell in before and cell in after:
            one, other = before[cell], after[cell]
            change = statistics.difference(other, one)
            found[name] = Difference(change.mean, change.low, change.high, change.p, change.runs)
            lacking[name] = len(one.index.symmetric_difference(other.index))
    return found, lacking


def _swap(name: str, n: int, rows: pd.DataFrame, effects: dict[str, Difference], lacking: dict[str, int]) -> Swap:
    cosine = (float(rows["cosine"].mean()), float(rows["cosine"].std()))
    differences = {measure: paired(rows[measure].to_numpy()) for measure in MEASURES}
    return Swap(name, n, len(rows), cosine, differences | effects, lacking)


def paired(values: np.ndarray) -> Difference:
    """Return the mean of paired differences with Student's interval and p-value; both need two unequal values."""
    mean = round(float(values.mean()), 6) if len(values) else math.nan
    if len(values) < 2 or np.ptp(values) == 0:
        return Difference(mean, math.nan, math.nan, math.nan)
    found = stats.ttest_1samp(values, 0)
    ends = found.confidence_interval(statistics.CONFIDENCE)
    return Difference(mean, float(ends.low), float(ends.high), float(found.pvalue))


def _adjusted(*parts: list[Swap]) -> list[list[Swap]]:
    """Return the swaps with Holm's p-values, adjusted over all their tests."""
    every = [each.p for some in parts for one in some for each in one.differences.values()]
    holm = iter(statistics.holm(pd.Series(every, dtype=float)))
    return [[replace(one, differences=_with(one.differences, holm)) for one in some] for some in parts]


def _with(differences: dict[str, Difference], holm: Iterator[float]) -> dict[str, Difference]:
    """Return the differences with the next adjusted p-values."""
    return {name: each._replace(holm=next(holm)) for name, each in differences.items()}
