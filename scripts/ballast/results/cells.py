"""Hold the cells of a metric, which share what they know of the spread of runs.

Three runs that happen to agree would claim too much, and a study has dozens of cells of three runs. So the variance
of each cell's runs is drawn to that of all cells, as in Smyth, Linear models and empirical Bayes methods, Stat. Appl.
Genet. Mol. Biol. 3 (2004). The table of docs/statistics.md shows what this does to errors and power.
"""

import functools
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import special

from ballast.results.power import trials_for
from ballast.results.statistics import RESAMPLES, TWO_WAY, Estimate, Spread, difference, estimate, varying

# Fewer cells of several runs say too little about how runs spread.
FEWEST_CELLS = 3
# Share of the median variance; below, the runs of a cell are the same.
SAME = 1e-5
# Degrees of freedom of a variance that is known.
MANY = 1e6


class Cells(dict):
    """The cells of one metric of a study, each a table of trials (rows) by prompts (columns), by any key.

    An interval takes the spread of a cell's runs, moderated by that of all cells with several runs. Differences leave
    out what a trial number does to all cells, since these share its seeds. A cell of one run has the others' spread
    where it is compared with several runs. If `whole` names the value of 100 %, cells are proportions: they vary by
    p (1 - p), and the cells share the spread in units of that.
    """

    def __init__(self, cells: Mapping[Hashable, pd.DataFrame] | None = None, whole: float | None = None):
        super().__init__(cells or {})
        self.whole = whole

    def apart(self, group: Callable[[Hashable], Hashable]) -> list["Cells"]:
        """Return the cells in groups that share nothing, such as models, each by the `group` of its key."""
        groups: dict[Hashable, Cells] = {}
        for key, table in self.items():
            groups.setdefault(group(key), Cells(whole=self.whole))[key] = table
        return list(groups.values())

    def only(self, keep: Callable[[Hashable], bool]) -> "Cells":
        """Return the cells with such keys."""
        return Cells({key: table for key, table in self.items() if keep(key)}, self.whole)

    def estimate(self, key: Hashable, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
        """Return the mean of a cell with its interval."""
        several = len(self[key]) > 1
        return estimate(self[key].to_numpy(), seed, resamples, self._alone.get(key) if several else None, self.whole)

    def difference(self, ours: Hashable, theirs: Hashable, seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
        """Return the mean difference of two cells, paired over trials of one number and over prompts.

        A single run is compared with every run of the other cell.
        """
        one, other, spread = self.pair(ours, theirs)
        found = difference(one, other, seed, resamples, spread)
        single = found.over == TWO_WAY and min(len(self[ours]), len(self[theirs])) == 1
        return replace(found, most=math.inf if self.whole is None else self.whole, single=single)

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

    def trials_needed(self, ours: Hashable, theirs: Hashable, comparisons: int) -> tuple[float, Spread]:
        """Return how many trials would find the difference of two cells in 80 % of studies, and the spread of runs.

        Prompts are left out: more prompts would not make runs more alike.
        """
        one, other, known = self.pair(ours, theirs)
        runs = (one.mean(axis=1) - other.mean(axis=1)).dropna()
        spread = known or Spread(float(runs.var(ddof=1)), len(runs) - 1)
        effect = abs(runs.mean()) / math.sqrt(spread.variance) if spread.variance else math.inf
        return trials_for(effect, comparisons, spread.freedom), spread

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
        # A residual shrinks by the share that its trial's mean has of it.
        return self._moderated(left.div(np.sqrt(1 - 1 / there.where(there > 1)), axis=0))

    def _moderated(self, left: pd.DataFrame) -> dict[Hashable, Spread]:
        """Return the spread of each cell by what is left of its runs' means; a cell of one run has the others'."""
        freedom = left.count() - 1
        several = freedom[freedom > 0].index
        if len(several) < FEWEST_CELLS:
            return {}
        units = pd.Series([self._unit(table) for table in self.values()])
        variances = (left[several] ** 2).sum() / freedom[several] / units[several]
        centre = centre_of(variances.to_numpy(), freedom[several].to_numpy(dtype=float))
        if centre is None:
            return {}
        own = [(variances.get(place, 0.0), freedom.get(place, 0)) for place in range(len(self))]
        return {key: centre.drawn_to(*own[place]).times(units[place]) for place, key in enumerate(self)}

    def _unit(self, table: pd.DataFrame) -> float:
        """Return the unit in which variances of cells compare: p (1 - p) of a proportion, 1 of anything else."""
        if self.whole is None:
            return 1.0
        scores = int(table.notna().to_numpy().sum())
        return self.whole**2 * varying(float(np.nanmean(table.to_numpy())), scores, self.whole) if scores else 1.0


def centre_of(variances: np.ndarray, freedom: np.ndarray) -> Spread | None:
    """Return the centre of variances, and what it weighs in degrees of freedom (Smyth, 2004).

    The weight follows from how much the variances differ beyond chance, at the upper end of its error. None if fewer
    than FEWEST_CELLS vary.
    """
    # A cell at an end of its scale says nothing of how runs spread elsewhere.
    varies = variances > SAME * np.median(variances[variances > 0]) if variances.any() else variances > 0
    if varies.sum() < FEWEST_CELLS:
        return None
    variances, freedom = variances[varies], freedom[varies]
    logs = np.log(variances) - special.digamma(freedom / 2) + np.log(freedom / 2)
    chance, fourth = (special.polygamma(order, freedom / 2).mean() for order in (1, 3))
    # Too large a weight makes families wrong, too small a one costs little power: so add one standard error.
    error = np.sqrt(fourth / len(logs) + 2 * chance**2 / (len(logs) - 1))
    beyond = float(logs.var(ddof=1) - chance + error)
    if beyond <= 0:
        return Spread(float(np.exp(logs.mean())), MANY)
    weight = 2 * _inverse_trigamma(beyond)
    return Spread(float(np.exp(logs.mean() + special.digamma(weight / 2) - np.log(weight / 2))), weight)


def _inverse_trigamma(value: float) -> float:
    """Solve polygamma(1, x) = value by Newton's method (Smyth, 2004, appendix)."""
    x = 0.5 + 1 / value
    for _ in range(50):
        found = special.polygamma(1, x)
        x += found * (1 - found / value) / special.polygamma(2, x)
    return float(x)


def _repeated(table: pd.DataFrame, trials: pd.Index) -> pd.DataFrame:
    """Return a single run once for each of several trials; several runs stay unchanged."""
    if len(table) > 1:
        return table
    return pd.DataFrame(np.repeat(table.to_numpy(), len(trials), axis=0), index=trials, columns=table.columns)
