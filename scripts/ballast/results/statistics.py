"""Estimate intervals and contrasts over runs and prompts at once.

A score belongs to a run and to a prompt, and both are random: another trial would pick and train differently, another
benchmark would ask differently. An interval over prompts alone cannot predict the next run. Runs are few, so the
quantile is Student's, with degrees of freedom from the parts of the variance. Three runs that happen to agree would
claim too much, so the cells of one metric share what they know of runs (`Cells`).

Two-way bootstrap: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1 (2007); the three variances are
combined as in Cameron, Gelbach and Miller, Robust inference with multiway clustering, JBES 29 (2011). Variances are
moderated as in Smyth, Linear models and empirical Bayes methods, Stat. Appl. Genet. Mol. Biol. 3 (2004).
"""

import functools
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy import special, stats

CONFIDENCE = 0.95
RESAMPLES = 2000
# Decimals of estimates: the last digits of matrix products differ between processes, and figures would show it.
DECIMALS = 9
# An interval needs a cost that is met in at least this share of resamples.
MET = 0.9
# Fewer cells of several runs say too little about how runs spread.
FEWEST_CELLS = 3
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

    @property
    def half(self) -> float:
        """Half-width of the two-sided 95 % interval."""
        return float(stats.t.ppf((1 + CONFIDENCE) / 2, self.freedom) * self.se) if self.freedom > 0 else math.nan

    @property
    def low(self) -> float:
        return self.mean - self.half

    @property
    def high(self) -> float:
        return self.mean + self.half

    @property
    def p(self) -> float:
        """Two-sided p-value of a mean of 0; missing if the interval leaves runs out."""
        if self.over == PROMPTS_ONLY or not self.freedom > 0:
            return math.nan
        if self.se == 0:
            return float(self.mean == 0)
        return float(2 * stats.t.sf(abs(self.mean) / self.se, self.freedom))


NOTHING = Estimate(math.nan, math.nan, math.nan, 0, 0, TWO_WAY)


def estimate(values: np.ndarray, seed: int = 0, resamples: int = RESAMPLES, spread: "Spread | None" = None) -> Estimate:
    """Return the mean of `values` (runs x prompts, NaN for a missing score) over both, with its interval.

    Missing scores, and runs or prompts without any, are left out. `spread`: that of runs, if more is known of it than
    these runs show.
    """
    values = np.asarray(values, dtype=float)
    there = ~np.isnan(values)
    values = values[there.any(axis=1)][:, there.any(axis=0)]
    if values.size == 0:
        return NOTHING
    return _two_way(resampled(values, seed, resamples), *values.shape, spread)


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


class Cells(dict):
    """The cells of one metric of a study, each a table of trials (rows) by prompts (columns), by any key.

    An interval takes the spread of a cell's runs, moderated by that of all cells with several runs. Differences leave
    out what a trial number does to all cells, since these share its seeds. A cell of one run has the others' spread
    where it is compared with several runs.
    """

    @classmethod
    def apart(cls, cells: Mapping[Hashable, pd.DataFrame], group: Callable[[Hashable], Hashable]) -> list["Cells"]:
        """Return the cells in groups that share nothing, such as models, each by the `group` of its key."""
        groups: dict[Hashable, Cells] = {}
        for key, table in cells.items():
            groups.setdefault(group(key), cls())[key] = table
        return list(groups.values())

    def estimate(self, key: Hashable, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
        """Return the mean of a cell with its interval."""
        several = len(self[key]) > 1
        return estimate(self[key].to_numpy(), seed, resamples, self._alone.get(key) if several else None)

    def difference(self, ours: Hashable, theirs: Hashable, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
        """Return the mean difference of two cells, paired over trials of one number and over prompts.

        A single run is compared with every run of the other cell.
        """
        one, other, spread = self.pair(ours, theirs)
        return difference(one, other, seed, resamples, spread)

    def pair(
        self, ours: Hashable, theirs: Hashable, ratio: float = 1.0
    ) -> tuple[pd.DataFrame, pd.DataFrame, Spread | None]:
        """Return two cells with as many runs, and the spread of `ours` minus `ratio` times `theirs`, run by run.

        The spread is None if the cells know nothing of each other.
        """
        one, other = self[ours], self[theirs]
        runs, single = max(len(one), len(other)), [len(one) == 1, len(other) == 1]
        if not any(single) or runs == 1:
            known = self._paired if runs > 1 else {}
            spreads = [known.get(key) for key in (ours, theirs)]
        else:
            one, other = (_repeated(table, runs_of.index) for table, runs_of in ((one, other), (other, one)))
            # The single run is in every difference, so its own spread does not shrink with their number.
            known = [self._alone.get(key) for key in (ours, theirs)]
            spreads = [found and found.times(runs if alone else 1) for found, alone in zip(known, single, strict=True)]
        if None in spreads:
            return one, other, None
        return one, other, spreads[0].plus(spreads[1].times(ratio**2))

    @functools.cached_property
    def _runs(self) -> pd.DataFrame:
        """The mean of each run: trials by cells, of the cells with several runs."""
        found = {place: table.mean(axis=1) for place, table in enumerate(self.values()) if len(table) > 1}
        return pd.DataFrame(found)

    @functools.cached_property
    def _alone(self) -> dict[Hashable, Spread]:
        return self._moderated(self._runs - self._runs.mean())

    @functools.cached_property
    def _paired(self) -> dict[Hashable, Spread]:
        left = self._runs - self._runs.mean()
        for _ in range(20):  # trials and cells in turn, since a cell may lack trials
            left = left.sub(left.mean(axis=1), axis=0)
            left -= left.mean()
        there = left.notna().sum(axis=1)
        # What is left of a run shrinks by the share that its trial's mean has of it.
        return self._moderated(left.div(np.sqrt(1 - 1 / there.where(there > 1)), axis=0))

    def _moderated(self, left: pd.DataFrame) -> dict[Hashable, Spread]:
        """Return the spread of each cell by what is left of its runs' means; a cell of one run has the others'."""
        freedom = left.count() - 1
        several = freedom[freedom > 0].index
        if len(several) < FEWEST_CELLS:
            return {}
        variances = (left[several] ** 2).sum() / freedom[several]
        own = {place: (variances.get(place, 0.0), freedom.get(place, 0)) for place in range(len(self))}
        centre = centre_of(variances.to_numpy(), freedom[several].to_numpy(dtype=float))
        return {key: centre.drawn_to(*own[place]) for place, key in enumerate(self)} if centre else {}


def centre_of(variances: np.ndarray, freedom: np.ndarray) -> Spread | None:
    """Return the centre of variances, and what it weighs in degrees of freedom (Smyth, 2004); None if most are 0.

    The weight follows from how much the variances differ beyond chance. If they do not, it is MANY.
    """
    middle = float(np.median(variances))
    if middle <= 0:
        return None
    # A variance of 0 has no logarithm.
    logs = np.log(np.maximum(variances, 1e-5 * middle)) - special.digamma(freedom / 2) + np.log(freedom / 2)
    beyond = float(logs.var(ddof=1) - special.polygamma(1, freedom / 2).mean())
    if beyond <= 0:
        return Spread(float(np.exp(logs.mean())), MANY)
    weight = 2 * _inverse_trigamma(beyond)
    return Spread(float(np.exp(logs.mean() + special.digamma(weight / 2) - np.log(weight / 2))), weight)


# Degrees of freedom of a variance that is known.
MANY = 1e6


def _inverse_trigamma(value: float) -> float:
    """Solve polygamma(1, x) = value by Newton's method (Smyth, 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        found = special.polygamma(1, x)
        x += found * (1 - found / value) / special.polygamma(2, x)
    return float(x)


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


def _repeated(table: pd.DataFrame, trials: pd.Index) -> pd.DataFrame:
    """Return a single run once for each of several trials; several runs as they are."""
    if len(table) > 1:
        return table
    return pd.DataFrame(np.repeat(table.to_numpy(), len(trials), axis=0), index=trials, columns=table.columns)
