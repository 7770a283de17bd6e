"""Decide whether a claim holds, in the published cells and in a study's runs: one class per kind of check.

Published numbers count as printed: the sign of a difference decides, and only a claim of significance reads ±. In a
study the intervals decide, two-way over runs and prompts (`results.statistics`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from ballast.claims import reasons
from ballast.claims.grids import Cell, Contrast, Grid, Measured, Published, adjusted, runs_said
from ballast.names import NONE, RANDOM, short_label
from ballast.published.tables import READINGS
from ballast.results.metrics import METRICS
from ballast.results.statistics import holm

HOLDS, FAILS, OPEN = "holds", "does not hold", "not decidable here"
ALPHA = 0.05
PER_CENT, POINTS = "%", "points"

Pairs = Callable[[Grid], list[tuple[Cell, Cell]]]


@dataclass(frozen=True)
class Outcome:
    """A verdict, the number behind it with its 95 % interval (missing for printed numbers), and why."""

    verdict: str
    said: str
    value: float = math.nan
    unit: str = ""
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Reduction:
    """A sampler at one n lies below `against` by `claimed`, in percent of it or in the metric's points.

    The claim holds in a study if the interval of the reduction is above 0 and reaches `claimed` or lies beyond it.
    """

    metric: str
    sampler: str
    n: int
    against: str
    claimed: str
    unit: str = PER_CENT
    experiment: str = "sampling"

    def published(self, grid: Published) -> Outcome:
        ours, theirs = self._cells(grid, self.sampler)
        value = _reduction(grid, ours, theirs, self.unit)
        if math.isnan(value):
            return Outcome(OPEN, f"no cell with n = {self.n} is printed")
        said = f"{grid.mean(theirs):.2f} to {grid.mean(ours):.2f}"
        if self.against == NONE and self.sampler != RANDOM:
            said += f"; Random alone {_reduction(grid, *self._cells(grid, RANDOM), self.unit):.1f} {self.unit}"
        return Outcome(HOLDS if rounds_to(value, self.claimed) else FAILS, said, value, self.unit)

    def study(self, grid: Measured) -> Outcome:
        if other := _other_unit(grid, self.metric):
            return Outcome(OPEN, other)
        if self.n not in grid.sizes:
            return Outcome(OPEN, f"this study has no n = {self.n}")
        contrast = _reduced(grid, *self._cells(grid, self.sampler), self.unit)
        found = contrast.estimate
        if math.isnan(found.mean):
            return Outcome(OPEN, f"no runs of {self.sampler} and {self.against} to compare")
        number = (found.mean, self.unit, found.low, found.high)
        least, most = rounded_from(self.claimed)
        if not contrast.decidable:
            return Outcome(OPEN, f"a single run of {reasons.either(contrast)}: {runs_said(contrast)}", *number)
        if found.high < least:
            return Outcome(FAILS, f"less than claimed; {runs_said(contrast)}", *number)
        if found.low > 0:
            more = "more than claimed; " if found.low > most else ""
            return Outcome(HOLDS, more + runs_said(contrast), *number)
        return Outcome(OPEN, f"the interval includes none and the claimed; {runs_said(contrast)}", *number)

    def _cells(self, grid: Grid, sampler: str) -> tuple[Cell, Cell]:
        return grid.cell(self.metric, sampler, self.n), grid.cell(self.metric, self.against, self.n)


@dataclass(frozen=True)
class Share:
    """The reduction of `claimed` percent needs only `share` percent more data.

    The share is the smallest n of the cells that round to `claimed`, divided by the paper's `rows` for fine-tuning.
    """

    metric: str
    claimed: str
    share: str
    rows: int
    experiment: str = "sampling"

    def published(self, grid: Published) -> Outcome:
        pairs = _all_pairs(grid, (self.metric,), NONE, grid.samplers, grid.sizes)
        there = [ours for ours, theirs in pairs if rounds_to(_reduction(grid, ours, theirs, PER_CENT), self.claimed)]
        if not there:
            return Outcome(FAILS, f"no cell is {self.claimed} % below")
        least = min(there, key=lambda cell: cell.n)
        value = 100 * least.n / self.rows
        said = f"{short_label(least.sampler)} at {least.n} of {self.rows:,} rows"
        return Outcome(HOLDS if rounds_to(value, self.share) else FAILS, said, value, "% more data")

    def study(self, grid: Measured) -> Outcome:
        n = round(float(self.share) / 100 * self.rows)
        return Outcome(OPEN, f"it would be n = {n} of {self.rows:,} rows" + ("" if n in grid.sizes else ", no n here"))


@dataclass(frozen=True)
class Largest:
    """The largest reduction against `against`, among `samplers` at `sizes` (all by default), is `claimed`.

    A study refutes it if one cell is above `claimed` after Holm's correction, or if all intervals are below it.
    """

    metric: str
    against: str
    claimed: str
    unit: str = PER_CENT
    samplers: tuple[str, ...] = ()
    sizes: tuple[int, ...] = ()
    experiment: str = "sampling"

    def published(self, grid: Published) -> Outcome:
        pairs = self._pairs(grid)
        values = [_reduction(grid, *pair, self.unit) for pair in pairs]
        value, most = max(zip(values, [ours for ours, _ in pairs], strict=True))
        distance, nearest = min((abs(one - float(self.claimed)), place) for place, one in enumerate(values))
        cell = pairs[nearest][0]
        said = f"the largest is {reasons.at(most)}; "
        said += f"nearest to the claimed: {reasons.at(cell)}, {values[nearest]:.2f} {self.unit}"
        if not any(rounds_to(one, self.claimed) for one in values):
            said += ", and none equals it"
        return Outcome(HOLDS if rounds_to(value, self.claimed) else FAILS, said, value, self.unit)

    def study(self, grid: Measured) -> Outcome:
        if other := _other_unit(grid, self.metric):
            return Outcome(OPEN, other)
        absent = [n for n in self.sizes if n not in grid.sizes]
        if absent:
            return Outcome(OPEN, f"this study has no n = {absent[0]}")
        contrasts = [_reduced(grid, *pair, self.unit) for pair in self._pairs(grid)]
        contrasts = [one for one in contrasts if not math.isnan(one.estimate.mean)]
        if not contrasts:
            return Outcome(OPEN, "this study has no runs to compare")
        lower, upper = rounded_from(self.claimed)
        firm = [one for one in contrasts if one.decidable]
        most = max(firm or contrasts, key=lambda one: one.estimate.mean)
        number = (most.estimate.mean, self.unit, most.estimate.low, most.estimate.high)
        several = " with several runs" if 0 < len(firm) < len(contrasts) else ""
        said = f"{reasons.at(most.ours)}, the largest of {len(firm or contrasts)}{several}; {runs_said(most)}"
        over = holm(pd.Series([replace(one.estimate, mean=one.estimate.mean - upper).p for one in firm]))
        if any(p < ALPHA and one.estimate.mean > upper for one, p in zip(firm, over, strict=True)):
            return Outcome(FAILS, f"more than claimed: {said}", *number)
        if len(firm) < len(contrasts):
            alone = sorted({one.ours.sampler for one in contrasts if not one.decidable})
            return Outcome(OPEN, f"a single run of {', '.join(alone)}: {said}", *number)
        if all(one.estimate.high < lower for one in firm):
            return Outcome(FAILS, f"less than claimed: {said}", *number)
        return Outcome(OPEN, f"the interval includes the claimed: {said}", *number)

    def _pairs(self, grid: Grid) -> list[tuple[Cell, Cell]]:
        samplers = [name for name in self.samplers or grid.samplers if name in grid.samplers]
        sizes = [n for n in self.sizes or grid.sizes if n in grid.sizes]
        return _all_pairs(grid, (self.metric,), self.against, samplers, sizes)


@dataclass(frozen=True)
class Lower:
    """In each of `pairs` the first cell lies below the second, in the unit of the metric.

    In a study every interval must lie below 0, which needs no correction. One pair above 0 after Holm's correction
    refutes the claim. `tested`: a claim of significance, which must also hold after the correction.
    """

    pairs: Pairs
    experiment: str = "sampling"
    tested: bool = False

    def published(self, grid: Published) -> Outcome:
        pairs = self.pairs(grid) if grid.models else []
        values = [grid.mean(ours) - grid.mean(theirs) for ours, theirs in pairs]
        if not pairs or any(map(math.isnan, values)):
            return Outcome(OPEN, "the paper prints no number of it, only a figure or words")
        if self.tested:
            return _by_reading(grid, pairs, values)
        below = sum(_below(value) for value in values)
        exceptions = [pair for pair, value in zip(pairs, values, strict=True) if not _below(value)]
        ties = sum(round(value, 6) == 0 for value in values)
        said = f"not {reasons.listed(exceptions, pairs)}" if exceptions else ""
        said += f"; {ties} of them equal" if ties else ""
        return Outcome(FAILS if exceptions else HOLDS, said, below, f"of {len(pairs)} lower")

    def study(self, grid: Measured) -> Outcome:
        there = [grid.contrast(*pair) for pair in self.pairs(grid)]
        if lacking := reasons.lacking(there):
            return Outcome(OPEN, f"this study lacks {lacking}")
        corrected = adjusted(there)
        shown = [
            one.decidable and one.estimate.high < 0 and (not self.tested or p < ALPHA)
            for one, p in zip(there, corrected, strict=True)
        ]
        against = [one for one, p in zip(there, corrected, strict=True) if p < ALPHA and one.estimate.mean > 0]
        weakest = max(against or there, key=_standing)
        pairs = [(one.ours, one.theirs) for one in there]
        found = weakest.estimate
        number = (found.mean, _unit(grid, weakest.ours.metric), found.low, found.high)
        least = reasons.named((weakest.ours, weakest.theirs), pairs)
        said = f"lower in {sum(shown)} of {len(there)}; least so {least}, {runs_said(weakest)}"
        if against:
            higher = reasons.listed([(one.ours, one.theirs) for one in against], pairs)
            return Outcome(FAILS, f"higher: {higher}; {said}", *number)
        if all(shown):
            return Outcome(HOLDS, said, *number)
        return left_open(there, said, number)


@dataclass(frozen=True)
class Steadier:
    """The spread of a sampler over its runs is smaller than that of `against` at every n."""

    metric: str
    sampler: str
    against: str
    experiment: str = "sampling"

    def published(self, grid: Published) -> Outcome:
        pairs = _all_pairs(grid, (self.metric,), self.against, (self.sampler,), grid.sizes)
        wider = [(ours, theirs) for ours, theirs in pairs if grid.plus_minus(ours) >= grid.plus_minus(theirs)]
        said = f"± is not smaller at {reasons.listed(wider, pairs)}" if wider else ""
        return Outcome(FAILS if wider else HOLDS, said, len(pairs) - len(wider), f"of {len(pairs)} smaller")

    def study(self, grid: Measured) -> Outcome:
        pairs = _all_pairs(grid, (self.metric,), self.against, (self.sampler,), grid.sizes)
        both = [(grid.spread(ours), grid.spread(theirs)) for ours, theirs in pairs]
        both = [pair for pair in both if not any(map(math.isnan, pair))]
        if not both:
            return Outcome(OPEN, "no two cells with several runs")
        smaller = sum(one < other for one, other in both)
        return Outcome(OPEN, "SD over runs; no interval of a spread", smaller, f"of {len(both)} smaller")


@dataclass(frozen=True)
class Unchanged:
    """No pair differs. A study cannot show this without a margin, and the claim names none."""

    pairs: Pairs
    experiment: str

    def published(self, grid: Published) -> Outcome:
        return Outcome(OPEN, "the paper prints no number of it, only a figure or words")

    def study(self, grid: Measured) -> Outcome:
        there = [grid.contrast(*pair) for pair in self.pairs(grid)]
        if lacking := reasons.lacking(there):
            return Outcome(OPEN, f"this study lacks {lacking}")
        corrected = adjusted(there)
        unlike = [one for one, p in zip(there, corrected, strict=True) if p < ALPHA]
        most = max(unlike or there, key=lambda one: abs(_standing(one)))
        found = most.estimate
        number = (found.mean, _unit(grid, most.ours.metric), found.low, found.high)
        name = reasons.named((most.ours, most.theirs), [(one.ours, one.theirs) for one in there])
        said = f"{len(unlike)} of {len(there)} differ (Holm); most so {name}, {runs_said(most)}"
        if unlike:
            return Outcome(FAILS, said, *number)
        return Outcome(OPEN, f"no margin is named within which nothing changes; {said}", *number)


def left_open(contrasts: list[Contrast], said: str, number: tuple) -> Outcome:
    """Return the outcome of differences that neither show nor refute a claim, with the reason."""
    single = sorted({name for one in contrasts if not one.decidable for name in one.single})
    why = f"a single run of {', '.join(single)}" if single else "an interval includes both"
    return Outcome(OPEN, f"{why}; {said}", *number)


def rounded_from(claimed: str) -> tuple[float, float]:
    """Return the least and the largest number that round to `claimed` at its decimals."""
    half = 0.5 * 10 ** -len(claimed.partition(".")[2])
    return float(claimed) - half - 1e-9, float(claimed) + half + 1e-9


def rounds_to(value: float, claimed: str) -> bool:
    least, most = rounded_from(claimed)
    return least <= value <= most


def _by_reading(grid: Published, pairs: list[tuple[Cell, Cell]], values: list[float]) -> Outcome:
    """Return the outcome of Welch's test with Holm's correction over all pairs, for each reading of ±."""
    lower = {
        reading: [
            pair
            for pair, value, p in zip(pairs, values, holm(grid.p(pairs, reading)), strict=True)
            if value < 0 and p < ALPHA
        ]
        for reading in READINGS
    }
    said = "; ".join(f"± as {reading}: {reasons.most_of(those, pairs)}" for reading, those in lower.items())
    most = max(map(len, lower.values()))
    least = min(map(len, lower.values()))
    verdict = FAILS if most < len(pairs) else HOLDS if least == len(pairs) else OPEN
    return Outcome(verdict, said, most, f"of {len(pairs)} significant at most")


def _reduction(grid: Published, ours: Cell, theirs: Cell, unit: str) -> float:
    below = grid.mean(theirs) - grid.mean(ours)
    return 100 * below / grid.mean(theirs) if unit == PER_CENT else below


def _reduced(grid: Measured, ours: Cell, theirs: Cell, unit: str) -> Contrast:
    """Return by how much `ours` lies below `theirs`."""
    if unit == PER_CENT:
        return grid.reduction(ours, theirs)
    contrast = grid.contrast(ours, theirs)
    return replace(contrast, estimate=replace(contrast.estimate, mean=-contrast.estimate.mean))


def _all_pairs(grid: Grid, metrics, against: str, samplers, sizes) -> list[tuple[Cell, Cell]]:
    """Pair every sampler with `against` at every size; `against` and training without safety data are left out."""
    return [
        (grid.cell(metric, sampler, n), grid.cell(metric, against, n))
        for metric in metrics
        for sampler in samplers
        if sampler not in (against, NONE)
        for n in sizes
    ]


def _below(value: float) -> bool:
    return round(value, 6) < 0


def _standing(one: Contrast) -> float:
    """Return the difference in standard errors, which compares contrasts of two metrics."""
    return one.estimate.mean / one.estimate.se if one.estimate.se > 0 else math.copysign(math.inf, one.estimate.mean)


def _unit(grid: Measured, metric: str) -> str:
    return POINTS if grid.unit(metric) == "%" else "score"


def _other_unit(grid: Measured, metric: str) -> str:
    """Return why a claimed number cannot be checked here; empty if the study has the paper's unit."""
    ours, theirs = grid.unit(metric), METRICS[metric].unit
    return "" if ours == theirs else f"{METRICS[metric].label.lower()} is measured as {ours} here, as {theirs} there"
