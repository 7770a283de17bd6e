"""Hold the cells that a claim is checked on: those that the paper printed, or those of a study's experiment.

Both kinds of grid have the axes of an experiment and `mean(cell)`, which is NaN for a missing cell.
"""

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ballast.names import AS_IS, REFERENCES
from ballast.published import TEXT, TRIALS
from ballast.published.tables import READINGS
from ballast.results import metrics
from ballast.results.cells import Cells
from ballast.results.statistics import (
    NOTHING,
    PROMPTS_ONLY,
    TWO_WAY,
    Estimate,
    estimate,
    holm,
)
from ballast.study.artefacts import Options

# Published tables by the experiment that repeats them; the paper printed the other experiments as figures.
PRINTED = {"sampling": ("1", "2", TEXT), "transfer": ("4",)}


class Cell(NamedTuple):
    metric: str
    model: str
    pool: str
    sampler: str
    n: int


@dataclass(frozen=True)
class Contrast:
    """One cell minus another. `single`: samplers with one run, whose spread over runs no interval covers."""

    ours: Cell
    theirs: Cell
    estimate: Estimate
    single: tuple[str, ...] = ()

    @property
    def decidable(self) -> bool:
        """True if the interval covers the spread over runs; a reference may have one run, since its model is fixed."""
        known = self.estimate.over == TWO_WAY and self.estimate.freedom > 0
        return known and set(self.single) <= set(REFERENCES)


class Grid:
    """The axes, and a cell by its place on them."""

    models: tuple[str, ...]
    pools: tuple[str, ...]
    samplers: tuple[str, ...]
    sizes: tuple[int, ...]

    def cell(self, metric: str, sampler: str, n: int, model: str | None = None, pool: str | None = None) -> Cell:
        """Return the cell of a sampler at n, of the first model and pool by default. A reference has n = 0."""
        pool = "-" if sampler == AS_IS else pool or self.pools[0]
        return Cell(metric, model or self.models[0], pool, sampler, 0 if sampler in REFERENCES else n)


class Published(Grid):
    """The cells that the paper printed for an experiment."""

    pools = ("",)

    def __init__(self, table: pd.DataFrame, experiment: str):
        table = table[table["table"].isin(PRINTED.get(experiment, ()))]
        self.models = tuple(dict.fromkeys(table["model"]))
        self.samplers = tuple(dict.fromkeys(table["sampler"]))
        self.sizes = tuple(sorted(set(table["n"]) - {0}))
        self.cells = table.set_index(["metric", "model", "sampler", "n"])

    def mean(self, cell: Cell) -> float:
        return self._value(cell, "mean")

    def plus_minus(self, cell: Cell) -> float:
        """Return the number printed after ±; NaN without one."""
        return self._value(cell, "pm")

    def p(self, pairs: list[tuple[Cell, Cell]], reading: str) -> pd.Series:
        """Return two-sided p-values of Welch's test over TRIALS runs per cell, ± read as `reading`; NaN without ±."""
        spread = READINGS[reading]
        values = [
            stats.ttest_ind_from_stats(
                *(self.mean(one), spread * self.plus_minus(one), TRIALS),
                *(self.mean(other), spread * self.plus_minus(other), TRIALS),
                equal_var=False,
            ).pvalue
            for one, other in pairs
        ]
        return pd.Series(values, dtype=float)

    def _value(self, cell: Cell, column: str) -> float:
        key = (cell.metric, cell.model, cell.sampler, cell.n)
        return float(self.cells.at[key, column]) if key in self.cells.index else math.nan


class Measured(Grid):
    """The cells of a study's experiment. A cell's scores are a table of trials (rows) by prompts (columns)."""

    def __init__(self, scores: pd.DataFrame, options: Options):
        self.scores, self.options = scores, options
        # Claims share many pairs, and each pair costs a bootstrap.
        self.contrast, self.reduction = cache(self.contrast), cache(self.reduction)
        self.models, self.pools = options.experiment.models, options.experiment.pools
        self.samplers, self.sizes = options.experiment.samplers, tuple(sorted(options.experiment.n))

    @cached_property
    def _together(self) -> dict[Cell, Cells]:
        """The cells of each cell's metric and model; as-is models and base data alone stand with every pool."""
        found = {}
        for metric in self.options.judges:
            tables = metrics.by_prompt(self.scores, metric, self.options)
            named = Cells({Cell(metric, *place): values for place, values in tables.items()}, tables.whole)
            found |= {cell: group for group in named.apart(lambda cell: cell.model) for cell in group}
        return found

    @cached_property
    def _cells(self) -> dict[Cell, pd.DataFrame]:
        return {cell: group[cell] for cell, group in self._together.items()}

    def unit(self, metric: str) -> str:
        return metrics.metric(metric, self.options).unit

    def label(self, model: str) -> str:
        return self.options.model_label(model)

    def mean(self, cell: Cell) -> float:
        return float(np.nanmean(self._cells[cell].to_numpy())) if self.has(cell) else math.nan

    def has(self, cell: Cell) -> bool:
        return cell in self._cells and bool(self._cells[cell].notna().to_numpy().any())

    def spread(self, cell: Cell) -> float:
        """Return the standard deviation of the runs' means; NaN with fewer than two runs."""
        return float(self._cells[cell].mean(axis=1).std()) if self.has(cell) else math.nan

    def contrast(self, ours: Cell, theirs: Cell) -> Contrast:
        """Return the difference of two cells, paired over shared trials and over prompts.

        A single run on one side is compared with every run of the other.
        """
        if not (self.has(ours) and self.has(theirs)):
            return Contrast(ours, theirs, NOTHING)
        return Contrast(ours, theirs, self._beside(ours, theirs).difference(ours, theirs), self._single(ours, theirs))

    def reduction(self, ours: Cell, theirs: Cell) -> Contrast:
        """Return by how many percent the mean of `ours` lies below that of `theirs`; interval by the delta method.

        Return NOTHING if the mean of `theirs` is not clearly above 0: no ratio has a meaning then.
        """
        if not (self.has(ours) and self.has(theirs)):
            return Contrast(ours, theirs, NOTHING)
        beside, single = self._beside(ours, theirs), self._single(ours, theirs)
        one, other, _ = beside.pair(ours, theirs)
        trials, prompts = one.index.intersection(other.index), one.columns.intersection(other.columns)
        above, below = one.loc[trials, prompts].to_numpy(), other.loc[trials, prompts].to_numpy()
        there = ~(np.isnan(above) | np.isnan(below))
        base = estimate(np.where(there, below, np.nan))
        if not base.low > 0:
            return Contrast(ours, theirs, NOTHING, single)
        ratio = above[there].mean() / base.mean
        # To first order, each score adds this to the ratio: the mean is 0, the spread that of the ratio.
        spread = beside.pair(ours, theirs, ratio)[-1]
        spread = spread and spread.times(1 / base.mean**2)
        linear = estimate(np.where(there, (above - ratio * below) / base.mean, np.nan), spread=spread)
        return Contrast(ours, theirs, replace(linear, mean=100 * (1 - ratio), se=100 * linear.se), single)

    def _beside(self, ours: Cell, theirs: Cell) -> Cells:
        """Return the cells that both are among; those of two models share nothing."""
        together = self._together[ours]
        return together if theirs in together else Cells({cell: self._cells[cell] for cell in (ours, theirs)})

    def _single(self, *cells: Cell) -> tuple[str, ...]:
        return tuple(cell.sampler for cell in cells if len(self._cells[cell]) == 1)


def adjusted(contrasts: list[Contrast]) -> pd.Series:
    """Return Holm's p-values of the decidable contrasts; missing for the others."""
    return holm(pd.Series([one.estimate.p if one.decidable else math.nan for one in contrasts], dtype=float))


def runs_said(contrast: Contrast) -> str:
    """Return the runs that the interval covers, in words."""
    if contrast.estimate.over == PROMPTS_ONLY:
        return "one run each, interval over prompts only"
    return f"{contrast.estimate.runs} runs" + (f", one of {' and '.join(contrast.single)}" if contrast.single else "")
