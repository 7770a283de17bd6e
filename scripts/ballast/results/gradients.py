"""Compute the gradient report: gradients of the pool's rows against the change that adding such rows made.

The paper leaves two questions open: why refusals of harmful requests (T1) restore safety, and whether the task
interferes with it. A group of rows (a behaviour, the T1 rows of a category, a sampler's picks) has a mean conflict with
the task and a mean loss increase under it (`picks/gradients.py`); runs have a change of harm. Groups are few, so a rank
correlation with a permutation test relates the two. For four behaviours it can show little. Samplers that picked the
same rows are one group. Each correlation is also computed without each group, and without each group's outermost rows.
"""

import itertools
import math
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from ballast.categories import number
from ballast.names import AS_IS, BEHAVIOURS, NONE, in_order
from ballast.picks.gradients import conflicts, increases
from ballast.picks.selection import Features
from ballast.results import metrics, statistics
from ballast.results.statistics import Estimate
from ballast.study.artefacts import Options

BEHAVIOUR, CATEGORY, SAMPLER = "behaviour", "category", "sampler"
MEASURES = ("loss", "increase", "conflict")
# Samplers of T1 rows; the first that the study has shows what T1 rows change by category.
OF_T1 = ("t1", "random-b", "sss-b")
PERMUTATIONS = 9999
ONE_IN = 10  # one in so many of a group's rows is outermost: those with the largest absolute values
# Sampler and n -> trial -> ids.
Picked = dict[tuple[str, int], dict[str, list[str]]]


@dataclass(frozen=True)
class Group:
    """Rows of one kind: their number, mean and standard deviation of each measure, and measured effects by name.

    `names`: the samplers that picked these rows; else one name.
    """

    kind: str
    names: tuple[str, ...]
    rows: int
    means: dict[str, float]
    sds: dict[str, float]
    inner: dict[str, float]  # means without the outermost rows
    conflicting: float  # share of the rows with a conflict above 0
    effects: dict[str, Estimate] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.names[0]


@dataclass(frozen=True)
class Relation:
    """The rank correlation of a measure and an effect over groups, with a two-sided permutation p-value.

    `holm` is p adjusted over all correlations of the report. `low` and `high` are the ends of rho without each one of
    the groups; `driver` is the group whose removal changes rho most. They are missing for fewer than four groups.
    `inner` is rho without each group's outermost rows.
    """

    kind: str
    measure: str
    effect: str
    groups: int
    rho: float
    p: float
    low: float
    high: float
    driver: tuple[str, ...] | None
    inner: float
    holm: float = math.nan


@dataclass(frozen=True)
class Report:
    """Everything that the page and the figure show; `rows` has one line per row of the pool."""

    rows: pd.DataFrame
    groups: list[Group]
    relations: list[Relation]
    n: dict[str, int]  # safety examples added in the runs of behaviours and of samplers; 0 without runs
    of_t1: tuple[str, int] | None  # the sampler and n whose runs show the effect of T1 rows by category
    dimensions: int

    def of(self, kind: str) -> list[Group]:
        return [group for group in self.groups if group.kind == kind]


def report(options: Options, features: Features, scores: pd.DataFrame, picked: Picked) -> Report:
    """Return the report.

    `features`: behaviour, gradients, base_gradients, logprobs and, if known, categories of the pool.
    """
    rows = by_row(features)
    harm, refusal = (metrics.by_sampler(scores, name, options) for name in ("harm", "over_refusal"))
    n = {
        BEHAVIOUR: _usual_n([cell for cell in harm if cell[0].upper() in BEHAVIOURS]),
        SAMPLER: _usual_n([cell for cell in harm if cell in picked]),
    }
    groups = [
        _group(
            BEHAVIOUR, (name,), rows[rows["behaviour"] == name], _changes((name.lower(), n[BEHAVIOUR]), harm, refusal)
        )
        for name in BEHAVIOURS
    ]
    of_t1 = _of_t1(harm, n[BEHAVIOUR])
    prompts = scores.dropna(subset="category").drop_duplicates("prompt_id").groupby("category")["prompt_id"].agg(list)
    t1 = rows[rows["behaviour"] == "T1"]
    groups += [
        _group(
            CATEGORY, (str(each),), t1[t1["category"] == each], _category_effects(prompts.get(each, []), of_t1, harm)
        )
        for each in range(number())
    ]
    shown = {sampler: by_trial for (sampler, size), by_trial in picked.items() if size == n[SAMPLER]}
    for names in together(shown):
        # Equal rows teach the same, so the sampler with the most trials stands for all.
        most = max(names, key=lambda name: len(shown[name]))
        ids = {row for ids in shown[most].values() for row in ids}
        effects = _changes((most, n[SAMPLER]), harm, refusal)
        groups.append(_group(SAMPLER, names, rows[rows["id"].isin(ids)], effects))
    groups = [group for group in groups if group.rows]
    return Report(rows, groups, relations(groups), n, of_t1, features.gradients.dimensions)


def together(picked: dict[str, dict[str, list[str]]]) -> list[tuple[str, ...]]:
    """Return the samplers in the paper's order, those together that picked the same rows in all trials they share."""
    groups: list[list[str]] = []
    for name in in_order(sorted(picked)):
        group = next((each for each in groups if _same(picked[name], picked[each[0]])), None)
        if group:
            group.append(name)
        else:
            groups.append([name])
    return [tuple(group) for group in groups]


def _same(one: dict[str, list[str]], other: dict[str, list[str]]) -> bool:
    shared = one.keys() & other.keys()
    return bool(shared) and all(set(one[trial]) == set(other[trial]) for trial in shared)


def by_row(features: Features) -> pd.DataFrame:
    """Return one line per row of the pool: id, behaviour, category (its first), loss, increase, norm and conflict.

    The last four are missing for a row without a token to learn.
    """
    gradients, ids = features.gradients, features.behaviour.index
    rows = gradients.learnt(ids)
    found = pd.DataFrame(
        {
            "loss": gradients.losses[rows],
            "increase": increases(gradients, rows, features.logprobs),
            "norm": gradients.norms[rows],
            "conflict": conflicts(gradients, rows, features.base_gradients.mean()),
        },
        index=gradients.names(rows),
    )
    if features.categories is None:
        category = pd.Series(pd.NA, index=ids)
    else:
        category = features.categories.reindex(ids).map(lambda labels: next(iter(labels), pd.NA))
    known = pd.DataFrame({"behaviour": features.behaviour, "category": category.astype("Int8")}, index=ids)
    table = known.join(found).rename_axis("id").reset_index().sort_values("id", ignore_index=True)
    return table.round(6)


def relations(groups: list[Group]) -> list[Relation]:
    """Correlate conflict and loss increase with each effect, over behaviours, over categories and over samplers."""
    found = []
    for kind in (BEHAVIOUR, CATEGORY, SAMPLER):
        some = [group for group in groups if group.kind == kind]
        for effect in dict.fromkeys(name for group in some for name in group.effects):
            there = [group for group in some if not math.isnan(group.effects.get(effect, statistics.NOTHING).mean)]
            for measure in ("conflict", "increase"):
                if len(there) > 2:
                    found.append(_relation(kind, measure, effect, there))
    adjusted = statistics.holm(pd.Series([one.p for one in found], dtype=float))
    return [replace(one, holm=p) for one, p in zip(found, adjusted, strict=True)]


def _relation(kind: str, measure: str, effect: str, groups: list[Group]) -> Relation:
    means, inner = (np.array([getattr(group, of)[measure] for group in groups]) for of in ("means", "inner"))
    effects = np.array([group.effects[effect].mean for group in groups])
    rho, p = rank_correlation(means, effects)
    without = {}
    if len(groups) > 3:
        rest = [np.arange(len(groups)) != place for place in range(len(groups))]
        found = (_ranked(means[keep], effects[keep])[2] for keep in rest)
        without = {group.names: value for group, value in zip(groups, found, strict=True) if not math.isnan(value)}
    ends = (min(without.values()), max(without.values())) if without else (math.nan, math.nan)
    # A correlation that does not vary has no driver.
    driver = max(without, key=lambda names: abs(without[names] - rho)) if without and not math.isnan(rho) else None
    return Relation(kind, measure, effect, len(groups), rho, p, *ends, driver, _ranked(inner, effects)[2])


def _ranked(one: np.ndarray, other: np.ndarray) -> tuple[list[np.ndarray], float, float]:
    """Return both sides' centred ranks, their scale, and Spearman's rho, missing if one side does not vary."""
    ranks = [stats.rankdata(np.round(values, 6)) for values in (one, other)]
    ranks = [values - values.mean() for values in ranks]
    scale = math.sqrt((ranks[0] @ ranks[0]) * (ranks[1] @ ranks[1]))
    return ranks, scale, round(float(ranks[0] @ ranks[1] / scale), 6) if scale else math.nan


def rank_correlation(one: np.ndarray, other: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return Spearman's rho and its two-sided p-value over all orders up to 7 pairs, else over PERMUTATIONS drawn.

    Both are missing if all values of one side are equal.
    """
    ranks, scale, rho = _ranked(one, other)
    if scale == 0:
        return math.nan, math.nan
    if len(one) <= 7:
        orders, own = np.array(list(itertools.permutations(ranks[1]))), 0
    else:
        orders = np.random.default_rng(seed).permuted(np.tile(ranks[1], (PERMUTATIONS, 1)), axis=1)
        own = 1  # the observed order counts as one of the draws
    beyond = int((np.abs(orders @ ranks[0]) / scale >= abs(rho) - 1e-6).sum())
    return rho, round((beyond + own) / (len(orders) + own), 6)


def table(found: Report) -> pd.DataFrame:
    """Return one line per group and effect, six decimals."""
    lines = []
    for group in found.groups:
        about = {
            "kind": group.kind,
            "group": " = ".join(group.names),
            "rows": group.rows,
            "conflicting": group.conflicting,
        }
        about |= {name: group.means[name] for name in MEASURES} | {f"{name}_sd": group.sds[name] for name in MEASURES}
        for name, effect in (group.effects or {"": statistics.NOTHING}).items():
            ends = {"mean": effect.mean, "se": effect.se, "low": effect.low, "high": effect.high}
            lines.append(about | {"effect": name, **ends, "runs": effect.runs, "prompts": effect.prompts})
    return pd.DataFrame(lines).round(6)


def outermost(values: pd.Series) -> pd.Index:
    """Return the labels of the tenth of values with the largest absolute values, rounded up."""
    return values.abs().sort_values(ascending=False, kind="stable").index[: -(-len(values) // ONE_IN)]


def _group(kind: str, names: tuple[str, ...], rows: pd.DataFrame, effects: dict[str, Estimate]) -> Group:
    there = rows.dropna(subset="conflict")
    means = {each: float(there[each].mean()) for each in MEASURES}
    sds = {each: float(there[each].std()) for each in MEASURES}
    # A group of one row has no others.
    inner = {each: float(there[each].drop(outermost(there[each])).mean()) for each in MEASURES}
    conflicting = float((there["conflict"] > 0).mean()) if len(there) else math.nan
    return Group(kind, names, len(there), means, sds, inner, conflicting, effects)


def _usual_n(cells: list[tuple[str, int]]) -> int:
    """Return the n that most samplers of these cells have, the largest if several tie; 0 without cells."""
    sizes = [n for _, n in cells]
    return max(sizes, key=lambda n: (sizes.count(n), n), default=0)


def _of_t1(harm: dict, n: int) -> tuple[str, int] | None:
    """Return the sampler of T1 rows to show by category, at `n` if it has that, else at its largest n."""
    for sampler in OF_T1:
        sizes = [size for each, size in harm if each == sampler]
        if sizes:
            return sampler, n if n in sizes else max(sizes)
    return None


def _changes(cell: tuple[str, int], harm: dict, refusal: dict) -> dict[str, Estimate]:
    """Return the changes of harm and over-refusal by the rows of a (sampler, n), against base data alone."""
    return {
        f"{name} change": cells.difference(cell, (NONE, 0))
        for name, cells in (("harm", harm), ("over-refusal", refusal))
        if cell in cells and (NONE, 0) in cells
    }


def _category_effects(prompts: list[str], of_t1: tuple[str, int] | None, harm: dict) -> dict[str, Estimate]:
    """Return, on the prompts of one category, the harm that base data alone adds and the change by T1 rows."""
    found = {}
    alone = _some(harm.get((NONE, 0)), prompts)
    as_is = _some(harm.get((AS_IS, 0)), prompts)
    if alone is not None and as_is is not None:
        # The untrained model is where every run began, and was measured once.
        found["erosion"] = statistics.estimate((alone - as_is.iloc[0]).to_numpy())
    added = _some(harm.get(of_t1), prompts)
    if alone is not None and added is not None:
        found["harm change"] = statistics.difference(added, alone)
    return found


def _some(table: pd.DataFrame | None, prompts: list[str]) -> pd.DataFrame | None:
    """Return the columns of some prompts; None if the table has none of them."""
    if table is None:
        return None
    table = table[[prompt for prompt in prompts if prompt in table]]
    return table if len(table.columns) else None
