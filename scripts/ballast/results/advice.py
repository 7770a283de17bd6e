"""Advise which sampler and how few examples keep the fine-tuned model within the limits of the config's `targets`.

A limit is on a cell's mean. A cell `meets` it if the whole two-way interval lies within, is `likely` within if only the
mean does, and is not (`no`) otherwise. A single run has no interval over runs, so it is `likely` at best.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from ballast.files import BallastError
from ballast.names import NONE, RANDOM, REFERENCES, in_order
from ballast.results import metrics
from ballast.results.cells import Cells
from ballast.results.contrasts import corrected_for_choice, p_of
from ballast.results.metrics import Metric
from ballast.results.statistics import NOTHING, TWO_WAY, Estimate
from ballast.study.artefacts import Options

# The metric of each limit; helpfulness_loss is the helpfulness of `none` (base data alone) minus the cell's.
LIMITS = {"harm": "harm", "asr": "asr", "over_refusal": "over_refusal", "helpfulness_loss": "helpfulness"}
MEETS, LIKELY, UNMEASURED, NO = "meets", "likely", "not measured", "no"
VERDICTS = (MEETS, LIKELY, UNMEASURED, NO)  # the surest first; a cell has the least sure of its limits
RESOLVED = 0.05  # a difference is significant below this corrected p


@dataclass(frozen=True)
class Judged:
    """A cell, with an estimate and a verdict for each limit."""

    sampler: str
    n: int
    harm: Estimate
    estimates: dict[str, Estimate]  # by limit
    verdicts: dict[str, str]  # by limit

    @property
    def verdict(self) -> str:
        return max(self.verdicts.values(), key=VERDICTS.index)

    @property
    def broken(self) -> list[str]:
        return [limit for limit, verdict in self.verdicts.items() if verdict == NO]


@dataclass(frozen=True)
class Contrast:
    """Harm of the advised sampler minus that of another at the same n, paired over shared trials."""

    sampler: str
    difference: Estimate
    p: float  # corrected for all pairs of samplers at this n; missing if fewer than two trials are shared

    @property
    def resolved(self) -> bool:
        return self.p < RESOLVED


@dataclass(frozen=True)
class Advice:
    """Every cell's verdict, and the advice. `nearest` is set if no cell is within its limits."""

    limits: dict[str, float]
    metrics: dict[str, Metric]  # by limit, and that of harm
    cells: list[Judged]
    advised: Judged | None = None
    surest: Judged | None = None  # the smallest n that meets every limit for sure
    nearest: Judged | None = None
    contrasts: list[Contrast] = field(default_factory=list)
    again: list["Again"] = field(default_factory=list)  # with each second judge

    @property
    def shown(self) -> Judged:
        """The cell whose n the figure and the page show in detail."""
        return self.advised or self.nearest or self.cells[0]

    def within(self, sampler: str) -> list[Judged]:
        """Return the cells of a sampler that are within all limits, the smallest n first."""
        return [cell for cell in self.cells if cell.sampler == sampler and cell.verdict in (MEETS, LIKELY)]


@dataclass(frozen=True)
class Again:
    """The advice with a second judge of a metric, and with that judge's limit; none if the limit does not carry over.

    Its contrasts are those of the first judge's advice, so that both answer the same questions.
    """

    metric: str
    judge: str
    instead_of: str
    advice: Advice | None = None
    missing: int = 0  # scores of the second judge that could not be read
    scores: int = 0


def advise(options: Options, paths: str | Sequence[str]) -> Advice:
    """Return the advice of one or several tables of scores, and what it is with each second judge of a metric.

    Raises BallastError if no limit is set or nothing was measured.
    """
    if not options.targets:
        raise BallastError("targets: no limit is set, so there is nothing to advise by; set targets.harm in the config")
    scores = metrics.read_scores(paths)
    metrics.require_cells(metrics.cells_measured(scores, "harm", options), paths, "the advice")
    advice = _advise(options, scores)
    return replace(advice, again=[_again(one, options, scores, advice) for one in options.second])


def _advise(options: Options, scores: pd.DataFrame, first: Advice | None = None) -> Advice:
    """Return the advice; its contrasts are those of the advice `first` if given."""
    limits = {limit: options.targets[limit] for limit in LIMITS if limit in options.targets}
    names = dict.fromkeys(["harm", *map(LIMITS.get, limits)])
    tables = {name: metrics.by_sampler(scores, name, options) for name in names}
    keys = {key for table in tables.values() for key in table if key[0] not in REFERENCES}
    order = in_order([*options.experiment.samplers, *sorted(sampler for sampler, _ in keys)])
    keys = sorted(keys, key=lambda key: (key[1], order.index(key[0])))
    cells = [_judge(key, tables, limits) for key in keys]
    within = sorted((cell for cell in cells if cell.verdict in (MEETS, LIKELY)), key=_first)
    units = {limit: metrics.metric(LIMITS[limit], options) for limit in ["harm", *limits]}
    advised = next(iter(within), None)
    surest = next((cell for cell in within if cell.verdict == MEETS), None)
    nearest = None if within else _nearest(cells, limits)
    compared = first.advised if first else advised
    contrasts = _contrasts(compared, tables["harm"], order) if compared else []
    return Advice(limits, units, cells, advised, surest, nearest, contrasts)


def _again(one: dict, options: Options, scores: pd.DataFrame, first: Advice) -> Again:
    name, judge = one["metric"], one["judge"]
    found = Again(name, judge, options.judges[name])
    other = with_judge(options, one)
    if other is None:
        return found
    runs = metrics.measure(scores, name, other)
    missing = int(runs[["unparsable", "too_long"]].to_numpy().sum())
    asked = missing + int(runs["judged"].sum())
    return replace(found, advice=_advise(other, scores, first), missing=missing, scores=asked)


def with_judge(options: Options, one: dict) -> Options | None:
    """Return the options with a second judge of a metric; its limit is at the same share of its scale.

    None if a limit is to be moved and either judge has no scale.
    """
    name = one["metric"]
    declared = options.declared | {name: {key: one[key] for key in ("unit", "scale", "rule")}}
    other = replace(options, judges=options.judges | {name: one["judge"]}, declared=declared)
    old, new = (metrics.metric(name, each).scale for each in (options, other))
    targets = dict(options.targets)
    for limit in [limit for limit, of in LIMITS.items() if of == name and limit in targets]:
        if old is None or new is None:
            return None
        if old == new:
            continue
        # A loss is a difference, which has no lowest value.
        low, lowest = (0, 0) if limit == "helpfulness_loss" else (old[0], new[0])
        targets[limit] = lowest + (targets[limit] - low) * (new[1] - new[0]) / (old[1] - old[0])
    return replace(other, targets=targets)


def narrowed(options: Options) -> Options:
    """Return the options with the judges of harm and of the limits only, so that notes name no other."""
    used = {"harm", *(LIMITS[limit] for limit in options.targets)}
    judges = {name: judge for name, judge in options.judges.items() if name in used}
    named = {*judges.values(), *(one["judge"] for one in options.second)}
    stand_ins = {judge: text for judge, text in options.stand_ins.items() if judge in named}
    return replace(options, judges=judges, stand_ins=stand_ins)


def verdict(found: Estimate, limit: float, comparisons: int = 1) -> str:
    """Return the verdict on whether an estimate is at most its limit; `comparisons` cells are held against it."""
    if math.isnan(found.mean):
        return UNMEASURED
    if found.mean > limit:
        return NO
    return MEETS if found.over == TWO_WAY and found.interval(comparisons)[1] <= limit else LIKELY


def table(advice: Advice) -> pd.DataFrame:
    """Return the advice in long form: one row per (sampler, n, limit), samplers in the paper's order, six decimals."""
    rows = [
        {"sampler": cell.sampler, "n": cell.n, "verdict": cell.verdict, "advised": cell is advice.advised}
        | {"limit": limit, "at_most": advice.limits[limit], "kept": cell.verdicts[limit]}
        | {"mean": found.mean, "low": found.low, "high": found.high, "runs": found.runs, "prompts": found.prompts}
        | {"interval_over": found.over}
        for cell in advice.cells
        for limit, found in cell.estimates.items()
    ]
    order = in_order(cell.sampler for cell in advice.cells)
    rows.sort(key=lambda row: (order.index(row["sampler"]), row["n"], list(LIMITS).index(row["limit"])))
    return pd.DataFrame(rows).round(6)


def _judge(key: tuple[str, int], tables: dict[str, Cells], limits: dict[str, float]) -> Judged:
    estimates = {limit: _estimate(key, limit, tables) for limit in limits}
    verdicts = {
        limit: verdict(estimates[limit], at_most, _held_against(tables[LIMITS[limit]]))
        for limit, at_most in limits.items()
    }
    return Judged(*key, _estimate(key, "harm", tables), estimates, verdicts)


def _held_against(cells: Cells) -> int:
    return sum(sampler not in REFERENCES for sampler, _ in cells)


def _estimate(key: tuple[str, int], limit: str, tables: dict[str, Cells]) -> Estimate:
    of_metric = tables[LIMITS[limit]]
    if key not in of_metric:
        return NOTHING
    if limit != "helpfulness_loss":
        return of_metric.estimate(key)
    return of_metric.difference((NONE, 0), key) if (NONE, 0) in of_metric else NOTHING


def _first(cell: Judged) -> tuple:
    """Return a sort key: the smallest n, then the surest, then the least harm. Ties keep the paper's order of cells."""
    return cell.n, VERDICTS.index(cell.verdict), math.inf if math.isnan(cell.harm.mean) else cell.harm.mean


def _nearest(cells: list[Judged], limits: dict[str, float]) -> Judged | None:
    """Return the cell that breaks the fewest limits, then by the smallest share of the range of all cells' means."""
    measured = [cell for cell in cells if UNMEASURED not in cell.verdicts.values()]
    if not measured:
        return None
    means = {limit: [cell.estimates[limit].mean for cell in measured] for limit in limits}
    span = {limit: (max(values) - min(values)) or 1.0 for limit, values in means.items()}

    def distance(cell: Judged) -> tuple:
        beyond = [(cell.estimates[limit].mean - limits[limit]) / span[limit] for limit in cell.broken]
        return len(beyond), max(beyond, default=0.0), cell.n

    return min(measured, key=distance)


def _contrasts(advised: Judged, harm: Cells, order: list[str]) -> list[Contrast]:
    """Return the contrasts with every other sampler at the advised n: Random first, then from the least harm up."""
    if (advised.sampler, advised.n) not in harm:
        return []
    others = [name for name, n in harm if n == advised.n and name not in (advised.sampler, *REFERENCES)]
    found = {name: harm.difference((advised.sampler, advised.n), (name, advised.n)) for name in others}
    p = corrected_for_choice(pd.Series({name: p_of(one) for name, one in found.items()}, dtype=float))
    means = {name: harm.estimate((name, advised.n)).mean for name in others}
    ranked = sorted(others, key=lambda name: (name != RANDOM, means[name], order.index(name)))
    return [Contrast(name, found[name], float(p[name])) for name in ranked]
