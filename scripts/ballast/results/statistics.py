"""Estimate intervals and contrasts over runs and prompts at once.

A score belongs to a run and to a prompt, and both are random: another trial would pick and train differently, another
benchmark would ask differently. An interval over prompts alone cannot predict the next run. Runs are few, so the
quantile is Student's, with degrees of freedom from the parts of the variance. The cells of a metric share what they
know of the spread of runs (`ballast.results.cells`).

Two-way bootstrap: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007); the three variances are
combined as in Cameron, Gelbach and Miller, Robust inference with multiway clustering, JBES 29 (2011). Proportions have
Wilson's interval with an effective number of scores: Dean and Pagano, Evaluating confidence interval methods for
binomial proportions in clustered surveys, J. Surv. Stat. Methodol. 3 (2015).
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2000
# Decimals of estimates: the last digits of matrix products differ between processes, and figures would show it.
DECIMALS = 9
# An interval needs a cost that is met in at least this share of resamples.
MET = 0.9
# The interval covers prompts only if there is a single run.
TWO_WAY, PROMPTS_ONLY = "runs and prompts", "prompts only"


@dataclass(frozen=True)
class Estimate:
    """A mean, or a mean difference. `se`, `freedom`, the interval and `p` are missing if they cannot be estimated."""

    mean: float
    se: float
    freedom: float
    runs: int
    prompts: int
    over: str  # TWO_WAY, or PROMPTS_ONLY for one run, whose interval leaves runs out
    whole: float | None = None  # the value of 100 %, if the mean is a proportion
    most: float = math.inf  # the largest absolute value that a difference can have
    single: bool = False  # one side of a difference is a single run, whose spread is that of the other cells' runs

    def interval(self, comparisons: int = 1) -> tuple[float, float]:
        """Return the ends of the two-sided 95 % interval; with Bonferroni's correction if there are several."""
        alpha = (1 - CONFIDENCE) / comparisons
        if self.whole is not None:
            se = 0.0 if self.runs == 1 else self.se  # the scores of one run are independent
            return proportion(self.mean, se, self.freedom, self.prompts, self.whole, alpha)
        half = float(stats.t.isf(alpha / 2, self.freedom) * self.se) if self.freedom > 0 else math.nan
        return max(self.mean - half, -self.most), min(self.mean + half, self.most)

    @property
    def low(self) -> float:
        return self.interval()[0]

    @property
    def high(self) -> float:
        return self.interval()[1]

    @property
    def p(self) -> float:
        """Two-sided p-value of a mean of 0; missing if the interval leaves runs out."""
        if self.over == PROMPTS_ONLY or not self.freedom > 0:
            return math.nan
        if self.se == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.se, self.freedom))


NOTHING = Estimate(math.nan, math.nan, math.nan, 0, 0, TWO_WAY)


def estimate(
    values: np.ndarray,
    seed: int = 0,
    resamples: int = RESAMPLES,
    spread: "Spread | None" = None,
    whole: float | None = None,
) -> Estimate:
    """Return the mean of `values` (runs x prompts, NaN for a missing score) over both, with its interval.

    Missing scores, and runs or prompts without any, are left out. `spread`: that of runs, if more is known of it than
    these runs show. `whole`: the value of 100 % if the mean is a proportion, whose interval is `proportion`.
    """
    values = np.asarray(values, dtype=float)
    there = ~np.isnan(values)
    values = values[there.any(axis=1)][:, there.any(axis=0)]
    if values.size == 0:
        return NOTHING
    return replace(_two_way(resampled(values, seed, resamples), *values.shape, spread), whole=whole)


def proportion(
    mean: float, se: float, freedom: float, prompts: int, whole: float, alpha: float = 1 - CONFIDENCE
) -> tuple[float, float]:
    """Return the ends of Wilson's interval of a proportion, between 0 and `whole`; NaN without a mean.

    A standard error counts as that of so many independent scores, with Student's quantile. Without one (a single run,
    or runs that agree) there are `prompts` scores. At 0 or 1 nothing varies, so there are at most `prompts`.
    """
    share = mean / whole
    varies = share * (1 - share)
    if se > 0 and not freedom > 0 or math.isnan(mean):
        return math.nan, math.nan
    if se > 0:
        count = (varies or varying(mean, prompts, whole)) * (whole / se) ** 2
        count, square = count if varies else min(count, prompts), stats.t.isf(alpha / 2, freedom) ** 2
    else:
        count, square = prompts, stats.norm.isf(alpha / 2) ** 2
    middle, half = share + square / (2 * count), math.sqrt(square * (varies + square / (4 * count)) / count)
    ends = ((middle + sign * half) / (1 + square / count) for sign in (-1, 1))
    low, high = (round(float(min(max(whole * end, 0.0), whole)), DECIMALS) for end in ends)
    return min(low, mean), max(high, mean)


def varying(mean: float, scores: int, whole: float) -> float:
    """Return p (1 - p) of a proportion, with half a score more of both kinds, so that it is never 0."""
    share = (mean / whole * scores + 0.5) / (scores + 1)
    return share * (1 - share)


@dataclass(frozen=True)
class Spread:
    """The variance of single runs, and its degrees of freedom."""

    variance: float
    freedom: float

    def times(self, factor: float) -> "Spread":
        return Spread(factor * self.variance, self.freedom)

    def plus(self, other: "Spread") -> "Spread":
        """Return the spread of sums of runs of both, with Satterthwaite's degrees of freedom."""
        both = self.variance + other.variance
        parts = self.variance**2 / self.freedom + other.variance**2 / other.freedom
        return Spread(both, both**2 / parts if parts else min(self.freedom, other.freedom))

    def drawn_to(self, variance: float, freedom: float) -> "Spread":
        """Return the mean of this centre and a variance, weighted by their degrees of freedom."""
        whole = self.freedom + freedom
        return Spread((self.freedom * self.variance + freedom * variance) / whole, whole)


@dataclass(frozen=True)
class Resampled:
    """A mean, and the deviation from it of each resample's mean, with runs, prompts or both drawn anew."""

    mean: float
    by_run: np.ndarray
    by_prompt: np.ndarray
    by_both: np.ndarray  # NaN if the drawn runs have no score for the drawn prompts


def resampled(values: np.ndarray, seed: int, resamples: int, prompt_seed: int | None = None) -> Resampled:
    """Return the mean of `values` (runs x prompts, NaN for a missing score) and its two-way resamples.

    Arrays of one shape share their draws, so results from both are paired; `prompt_seed` draws the prompts of another
    benchmark independently.
    """
    runs, prompts = values.shape
    there = ~np.isnan(values)
    mean = float(values[there].mean())
    scores, there = np.where(there, values - mean, 0.0), there.astype(float)
    by_prompt = _draws(prompts, seed if prompt_seed is None else prompt_seed, resamples)
    by_run = _draws(runs, seed + 1, resamples)
    with np.errstate(invalid="ignore", divide="ignore"):
        prompt_means = (by_prompt @ scores.sum(axis=0)) / (by_prompt @ there.sum(axis=0))
        run_means = (by_run @ scores.sum(axis=1)) / (by_run @ there.sum(axis=1))
        cells = ((by_prompt @ there.T) * by_run).sum(axis=1)
        means = ((by_prompt @ scores.T) * by_run).sum(axis=1) / cells
    return Resampled(mean, run_means, prompt_means, means)


def at_equal_cost(
    values: Sequence[pd.DataFrame],
    costs: Sequence[pd.DataFrame],
    control_values: Sequence[pd.DataFrame],
    control_costs: Sequence[pd.DataFrame],
    resamples: int = RESAMPLES,
) -> tuple[Estimate, float]:
    """Return a path's value at a cost minus a control's at that cost, and the share of resamples in which both meet it.

    Values and costs are a path's cells in order, each a table of trials by prompts, of one benchmark for values and
    another for costs. The cost is `halfway` on the control's path. Both means are interpolated linearly between
    neighbours. If a path meets the cost more than once, the last place counts. Each resample draws shared trials and
    prompts, and computes the cost, its place and the values there anew. The interval is over the resamples that meet
    the cost, and missing if their share is below MET. Nothing is extrapolated: the mean is missing if the path itself
    does not meet the cost.
    """
    every = (*values, *control_values, *costs, *control_costs)
    trials = sorted(set.intersection(*(set(table.index) for table in every)))
    paths, shared, own = [], [], len(values)
    for tables, prompt_seed in (((*values, *control_values), 0), ((*costs, *control_costs), 2)):
        prompts = sorted(set.intersection(*(set(table.columns) for table in tables)))
        arrays = [table.loc[trials, prompts].to_numpy() for table in tables]
        if any(np.isnan(array).all() for array in arrays):
            return NOTHING, 0.0
        paths.append([resampled(array, 0, resamples, prompt_seed) for array in arrays])
        shared.append(len(prompts))

    def gap(kind: str) -> np.ndarray:
        """Return the gap per resample, or of the means if `kind` is empty; rounding keeps equal costs equal."""
        levels, paid = (
            [np.atleast_1d(each.mean + (getattr(each, kind) if kind else 0)).round(DECIMALS) for each in path]
            for path in paths
        )
        cost = halfway(paid[own:])
        return _where_met(levels[:own], paid[:own], cost) - _where_met(levels[own:], paid[own:], cost)

    mean, drawn = float(gap("")[0]), [gap(kind) for kind in ("by_run", "by_prompt", "by_both")]
    met = ~np.isnan(drawn).any(axis=0)
    runs, prompts, share = len(trials), min(shared), float(met.mean())
    if math.isnan(mean):
        return NOTHING, share
    if share < MET:
        over = TWO_WAY if runs > 1 else PROMPTS_ONLY
        return Estimate(round(mean, DECIMALS), math.nan, math.nan, runs, prompts, over), share
    return _two_way(Resampled(mean, *(each[met] for each in drawn)), runs, prompts), share


def halfway(costs: Sequence) -> np.ndarray | float:
    """Return the mean of the costs of a path's first and last cell, which the path always meets."""
    return (costs[0] + costs[-1]) / 2


def _where_met(values: Sequence[np.ndarray], costs: Sequence[np.ndarray], at: np.ndarray) -> np.ndarray:
    """Return the path's value at the last place where its cost is `at`; NaN without one."""
    found = np.where(costs[0] == at, values[0], np.nan)
    for (value, after), (cost, next_cost) in zip(pairwise(values), pairwise(costs), strict=True):
        step = np.where(next_cost == cost, 1.0, next_cost - cost)
        share = np.where(next_cost == cost, 1.0, (at - cost) / step)
        found = np.where((cost - at) * (next_cost - at) <= 0, value + share * (after - value), found)
    return found


def _two_way(found: Resampled, runs: int, prompts: int, spread: Spread | None = None) -> Estimate:
    """Return the estimate of a mean from its variances over runs, over prompts and over both."""
    of_prompts = _variance(found.by_prompt, prompts)
    if runs == 1:
        return _rounded(found.mean, of_prompts, prompts - 1, runs, prompts, PROMPTS_ONLY)
    spread = spread or Spread(runs * _variance(found.by_run, runs), runs - 1)
    of_runs = spread.variance / runs
    drawn = ~np.isnan(found.by_both)
    # Both variances contain the noise of single scores, so subtract it once: the part that neither draw explains alone.
    noise = _variance((found.by_both - found.by_run - found.by_prompt)[drawn], runs, prompts)
    variance = max(of_runs + of_prompts - noise, of_runs, of_prompts)
    if variance == 0:
        return _rounded(found.mean, 0.0, spread.freedom, runs, prompts, TWO_WAY)
    # Satterthwaite's degrees of freedom.
    freedom = variance**2 / (of_runs**2 / spread.freedom + of_prompts**2 / max(prompts - 1, 1))
    return _rounded(found.mean, variance, freedom, runs, prompts, TWO_WAY)


def _rounded(mean: float, variance: float, freedom: float, runs: int, prompts: int, over: str) -> Estimate:
    se = math.sqrt(variance)
    return Estimate(round(mean, DECIMALS), round(se, DECIMALS), round(freedom, DECIMALS), runs, prompts, over)


def difference(
    ours: pd.DataFrame,
    theirs: pd.DataFrame,
    seed: int = 0,
    resamples: int = RESAMPLES,
    spread: Spread | None = None,
) -> Estimate:
    """Return the mean difference of two cells, each a table of trials (rows) by prompts (columns).

    It is paired over trials of one number, which share their seeds, and over prompts. Unpaired trials are dropped.
    """
    trials, prompts = ours.index.intersection(theirs.index), ours.columns.intersection(theirs.columns)
    if not len(trials):
        return NOTHING
    moved = ours.loc[trials, prompts].to_numpy() - theirs.loc[trials, prompts].to_numpy()
    return estimate(moved, seed, resamples, spread)


def holm(p: pd.Series) -> pd.Series:
    """Return Holm's adjusted p-values; a missing one stays missing and is not part of the family.

    Written here because statsmodels' `multipletests` collects garbage at every call.
    """
    values = p.to_numpy(dtype=float, na_value=np.nan)
    ranked = np.argsort(values)[: p.count()]  # missing ones come last
    adjusted = np.full(len(values), np.nan)
    adjusted[ranked] = np.maximum.accumulate(values[ranked] * np.arange(len(ranked), 0, -1)).clip(max=1)
    return pd.Series(adjusted, index=p.index)


def area_under_curve(sizes: np.ndarray, values: np.ndarray) -> float:
    """Return the mean value over the budget, by trapezoids in log n; missing with fewer than two sizes."""
    if len(sizes) < 2:
        return math.nan
    places = np.log(np.asarray(sizes, dtype=float))
    return float(np.trapezoid(values, places) / (places[-1] - places[0]))


@functools.lru_cache(maxsize=8)
def _draws(count: int, seed: int, resamples: int) -> np.ndarray:
    """Return how often each of `count` is drawn in each resample; the cells of a study share these draws."""
    draw = np.random.default_rng([count, seed])
    return draw.multinomial(count, np.full(count, 1 / count), resamples).astype(float)


def _variance(means: np.ndarray, *counts: int) -> float:
    """Return the variance of resampled means times k / (k - 1) for each k drawn from; 0 if a k is 1."""
    return float(np.var(means)) * math.prod(k / (k - 1) for k in counts) if min(counts) > 1 else 0.0
