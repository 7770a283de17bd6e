"""Advice: which sampler, and how few examples, keep the fine-tuned model within the limits of the config's `targets`.

A limit is on a cell's mean. A cell `meets` it where the whole two-way interval lies within, is `likely` within where
the mean does, and is not (`no`) otherwise; a single run has no interval over runs, so it is `likely` at best.
"""

import math
from dataclasses import dataclass, field, replace

import pandas as pd

from ballast.files import BallastError
from ballast.names import NONE, RANDOM, REFERENCES, in_order
from ballast.results import metrics
from ballast.results.statistics import NOTHING, TWO_WAY, Estimate, difference, estimate, holm
from ballast.study.artefacts import Options

# The metric that a limit is on; helpfulness_loss is what `none`, base data alone, has more of.
LIMITS = {"harm": "harm", "asr": "asr", "over_refusal": "over_refusal", "helpfulness_loss": "helpfulness"}
MEETS, LIKELY, UNMEASURED, NO = "meets", "likely", "not measured", "no"
VERDICTS = (MEETS, LIKELY, UNMEASURED, NO)  # the surest first; a cell has the last of its limits'
RESOLVED = 0.05  # Holm's p below which a difference is significant


@dataclass(frozen=True)
class Judged:
    """A cell, what each limit looks at, and whether it is kept."""

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
    """Harm of the advised sampler less that of another at the same n, paired over shared trials."""

    sampler: str
    difference: Estimate
    p: float  # Holm's, over all samplers at this n; missing where fewer than two trials are shared

    @property
    def resolved(self) -> bool:
        return self.p < RESOLVED


@dataclass(frozen=True)
class Advice:
    """Every cell's verdict, and what follows. `nearest` is there where no cell is within its limits."""

    limits: dict[str, float]
    cells: list[Judged]
    advised: Judged | None = None
    surest: Judged | None = None  # the smallest n that meets every limit for sure
    nearest: Judged | None = None
    contrasts: list[Contrast] = field(default_factory=list)

    @property
    def shown(self) -> Judged:
        """The cell that is looked at more closely."""
        return self.advised or self.nearest or self.cells[0]

    def within(self, sampler: str) -> list[Judged]:
        """The cells of a sampler that are within all limits, the smallest n first."""
        return [cell for cell in self.cells if cell.sampler == sampler and cell.verdict in (MEETS, LIKELY)]


def advise(options: Options, path: str) -> Advice:
    """The advice of scores.parquet. Raises BallastError where no limit is set or nothing was measured."""
    if not options.targets:
        raise BallastError("targets: no limit is set, so there is nothing to advise by; set targets.harm in the config")
    limits = {limit: options.targets[limit] for limit in LIMITS if limit in options.targets}
    scores = metrics.read_scores(path)
    metrics.require_cells(metrics.cells(metrics.measure(scores, "harm", options)), path, "the advice")
    names = dict.fromkeys(["harm", *map(LIMITS.get, limits)])
    tables = {name: metrics.by_sampler(scores, name, options) for name in names}
    keys = {key for table in tables.values() for key in table if key[0] not in REFERENCES}
    order = in_order([*options.experiment.samplers, *sorted(sampler for sampler, _ in keys)])
    keys = sorted(keys, key=lambda key: (key[1], order.index(key[0])))
    cells = [_judge(key, tables, limits) for key in keys]
    within = sorted((cell for cell in cells if cell.verdict in (MEETS, LIKELY)), key=_first)
    if not within:
        return Advice(limits, cells, nearest=_nearest(cells, limits))
    advised = within[0]
    surest = next((cell for cell in within if cell.verdict == MEETS), None)
    return Advice(limits, cells, advised, surest, contrasts=_contrasts(advised, tables["harm"], order))


def narrowed(options: Options) -> Options:
    """The options with the judges of harm and of what a limit is on: notes speak of no other."""
    used = {"harm", *(LIMITS[limit] for limit in options.targets)}
    judges = {name: judge for name, judge in options.judges.items() if name in used}
    stand_ins = {judge: text for judge, text in options.stand_ins.items() if judge in judges.values()}
    return replace(options, judges=judges, stand_ins=stand_ins)


def verdict(found: Estimate, limit: float) -> str:
    """Whether an estimate is at most its limit."""
    if math.isnan(found.mean):
        return UNMEASURED
    if found.mean > limit:
        return NO
    return MEETS if found.over == TWO_WAY and found.high <= limit else LIKELY


def table(advice: Advice) -> pd.DataFrame:
    """The advice in long form: one row per (sampler, n, limit), samplers in the paper's order, six decimals."""
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


def _judge(key: tuple[str, int], tables: dict[str, dict], limits: dict[str, float]) -> Judged:
    estimates = {limit: _estimate(key, limit, tables) for limit in limits}
    verdicts = {limit: verdict(estimates[limit], at_most) for limit, at_most in limits.items()}
    return Judged(*key, _estimate(key, "harm", tables), estimates, verdicts)


def _estimate(key: tuple[str, int], limit: str, tables: dict[str, dict]) -> Estimate:
    of_metric = tables[LIMITS[limit]]
    if key not in of_metric:
        return NOTHING
    if limit != "helpfulness_loss":
        return estimate(of_metric[key].to_numpy())
    alone = of_metric.get((NONE, 0))
    return NOTHING if alone is None else difference(alone, of_metric[key])


def _first(cell: Judged) -> tuple:
    """The smallest n; at one n the surest, then the least harm. Ties go by the paper's order, in which cells stand."""
    return cell.n, VERDICTS.index(cell.verdict), math.inf if math.isnan(cell.harm.mean) else cell.harm.mean


def _nearest(cells: list[Judged], limits: dict[str, float]) -> Judged | None:
    """The cell that breaks the fewest limits, and by least: by the share of the range that all cells' means span."""
    measured = [cell for cell in cells if UNMEASURED not in cell.verdicts.values()]
    if not measured:
        return None
    means = {limit: [cell.estimates[limit].mean for cell in measured] for limit in limits}
    span = {limit: (max(values) - min(values)) or 1.0 for limit, values in means.items()}

    def distance(cell: Judged) -> tuple:
        beyond = [(cell.estimates[limit].mean - limits[limit]) / span[limit] for limit in cell.broken]
        return len(beyond), max(beyond, default=0.0), cell.n

    return min(measured, key=distance)


def _contrasts(advised: Judged, harm: dict[tuple[str, int], pd.DataFrame], order: list[str]) -> list[Contrast]:
    """The advised sampler against every other at its n: Random first, then from the least harm up."""
    others = [name for name, n in harm if n == advised.n and name not in (advised.sampler, *REFERENCES)]
    found = {name: difference(harm[advised.sampler, advised.n], harm[name, advised.n]) for name in others}
    p = holm(pd.Series({name: one.p for name, one in found.items()}, dtype=float))
    means = {name: estimate(harm[name, advised.n].to_numpy()).mean for name in others}
    ranked = sorted(others, key=lambda name: (name != RANDOM, means[name], order.index(name)))
    return [Contrast(name, found[name], float(p[name])) for name in ranked]
