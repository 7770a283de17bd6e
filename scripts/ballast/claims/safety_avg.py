"""Check the claims of DualSelect's abstract (arXiv 2606.09866) on a study's Safety Avg. and task utility.

The abstract prints differences and no cell, so no printed number can be recomputed. A study names its metrics in
`dualselect_claims`. Safety Avg. is the mean of several metrics of one judge, each with equal weight.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ballast.claims.grids import Cell, Contrast, Measured, Published, adjusted, runs_said
from ballast.claims.verdicts import ALPHA, FAILS, HOLDS, OPEN, POINTS, Outcome, left_open
from ballast.names import AS_IS, NONE, short_label
from ballast.results import metrics
from ballast.results.cells import Cells

NO_CELL = "the abstract prints no cell, only words or a difference"
UNNAMED = "this study names no metrics in dualselect_claims"


def mean_of(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Return one table of trials by prompts whose mean is the mean of the tables' means.

    A score counts by its first-order effect on that mean, so the tables' prompts are resampled as if separately.
    """
    means = [np.nanmean(table.to_numpy()) for table in tables]
    scores = sum(table.shape[1] for table in tables)
    parts = [
        np.mean(means) + (table - mean) * scores / (len(tables) * table.shape[1])
        for table, mean in zip(tables, means, strict=True)
    ]
    return pd.concat(parts, axis=1, keys=range(len(tables)), join="inner")


class Averages:
    """The cells of each judge's Safety Avg., and of the task's utility, in which higher is better."""

    def __init__(self, grid: Measured):
        self.grid, self.claimed = grid, grid.options.dualselect
        self.judges = self.claimed["judges"]

    def cells(self, names: list[str]) -> dict[str, Cells]:
        """Return by model the cells (sampler, n) of the mean of some metrics; a cell that lacks one is left out."""
        tables = [self._tables(name) for name in names]
        shared = set.intersection(*map(set, tables))
        found = {place: mean_of([each[place] for each in tables]) for place in tables[0] if place in shared}
        return {
            model: Cells({(place[2], place[3]): table for place, table in found.items() if place[0] == model})
            for model in self.grid.models
        }

    def _tables(self, name: str) -> Cells:
        section = self.claimed["metrics"][name]
        metric = metrics.metric_of(name, section)
        scores, options = self.grid.scores, self.grid.options
        runs = metrics.of_experiment(metrics.run_values(scores, metric, section["judge"]), options.experiment)
        tables = metrics.matrices(scores, metric, section["judge"], metric.benchmark, runs)
        if metric.direction == "higher":
            return tables
        return Cells({place: metric.factor - table for place, table in tables.items()})

    def contrasts(self, label: str, names: list[str], baselines: tuple[str, ...] = ()) -> list[Contrast]:
        """Return the method minus each baseline, on every model at every n; all others are baselines by default."""
        method, found = self.claimed["method"], []
        for model, cells in self.cells(names).items():
            for n in self.grid.sizes:
                ours = (method, n)
                others = [place for place in cells if place[0] not in (method, AS_IS) and place[1] in (0, n)]
                for theirs in others:
                    if ours in cells and (not baselines or theirs[0] in baselines):
                        single = tuple(place[0] for place in (ours, theirs) if len(cells[place]) == 1)
                        pair = [Cell(label, model, self.grid.pools[0], *place) for place in (ours, theirs)]
                        found.append(Contrast(*pair, cells.difference(ours, theirs), single))
        return found


class Unprinted:
    """A claim of which the publication's abstract prints no cell."""

    def published(self, grid: Published) -> Outcome:
        return Outcome(OPEN, NO_CELL)


@dataclass(frozen=True)
class Ahead(Unprinted):
    """The method's Safety Avg. is at least `by` points above every baseline, on every model.

    By the first judge, or by every judge. Each interval must lie above; one difference below, after Holm's correction,
    refutes it.
    """

    by: float
    every_judge: bool = False
    experiment: str = "transfer"

    def study(self, grid: Measured) -> Outcome:
        if not grid.options.dualselect:
            return Outcome(OPEN, UNNAMED)
        averages = Averages(grid)
        if self.every_judge and len(averages.judges) == 1:
            return Outcome(OPEN, f"one judge only, {averages.judges[0]}")
        judges = averages.judges if self.every_judge else averages.judges[:1]
        there = [one for judge in judges for one in averages.contrasts(judge, averages.claimed["safety_avg"][judge])]
        return decided(there, self.by)


@dataclass(frozen=True)
class Kept(Unprinted):
    """The method's task utility is not below that of training on base data alone, on every model."""

    experiment: str = "transfer"

    def study(self, grid: Measured) -> Outcome:
        if not grid.options.dualselect:
            return Outcome(OPEN, UNNAMED)
        name = grid.options.dualselect["utility"]
        if name is None:
            return Outcome(OPEN, "dualselect_claims names no utility")
        return decided(Averages(grid).contrasts(name, [name], (NONE,)), 0.0)


@dataclass(frozen=True)
class Elsewhere(Unprinted):
    """A claim without a number: another page of the study shows what there is to see."""

    page: str
    experiment: str = "transfer"

    def study(self, grid: Measured) -> Outcome:
        return Outcome(OPEN, f"no number is claimed; see {self.page}")


def decided(there: list[Contrast], by: float) -> Outcome:
    """Return the verdict on differences of which each should be at least `by`; the number is the smallest one."""
    there = [one for one in there if not math.isnan(one.estimate.mean)]
    if not there:
        return Outcome(OPEN, "this study has no runs to compare")
    shifted = adjusted([replace(one, estimate=replace(one.estimate, mean=one.estimate.mean - by)) for one in there])
    shown = [one.decidable and one.estimate.low >= by for one in there]
    against = [one for one, p in zip(there, shifted, strict=True) if p < ALPHA and one.estimate.mean < by]
    least = min(against or there, key=lambda one: one.estimate.mean)
    number = (least.estimate.mean, POINTS, least.estimate.low, least.estimate.high)
    said = f"{sum(shown)} of {len(there)} at least {by:g} points; least so against {short_label(least.theirs.sampler)} "
    said += f"({least.ours.metric}, {least.ours.model}), {runs_said(least)}"
    if against:
        return Outcome(FAILS, f"{len(against)} of {len(there)} below; {said}", *number)
    if all(shown):
        return Outcome(HOLDS, said, *number)
    return left_open(there, said, number)
