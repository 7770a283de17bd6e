"""Compare samplers over all n, beyond the paper, and find the smallest n that meets the target."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ballast.markup import MISSING, Cell, Table, with_interval
from ballast.names import RANDOM, in_order, short_label
from ballast.results import contrasts, metrics, notes, statistics
from ballast.results.cells import Cells
from ballast.results.statistics import NOTHING, PROMPTS_ONLY, Estimate, area_under_curve
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm", "asr", "over_refusal", "helpfulness")
ONE = ("models", "pools")
TARGETS = ("harm", "asr")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return each sampler's mean over all n, its difference from Random, and the smallest n that meets the target."""
    scores = metrics.read_scores(paths)
    parts = [_budget(cells, name, options) for name, cells in contrasts.measured(scores, options, paths[0]).items()]
    data = pd.concat(parts, ignore_index=True)
    body = []
    for row in data.to_dict("records"):
        metric = metrics.metric(row["metric"], options)
        change = with_interval(row["difference"], row["low_two_way"], row["high_two_way"], metric.decimals)
        relative = with_interval(row["relative"], row["relative_low_two_way"], row["relative_high_two_way"], 1)
        known = bool(row["p_holm"] < contrasts.LEVEL)
        body.append(
            [Cell(metric.axis_label), Cell(short_label(row["sampler"]))]
            + [Cell(with_interval(row["area"], decimals=metric.decimals))]
            + [Cell(change, known)]
            + [Cell(relative)]
            + [Cell(_reached(row[key], row["target"])) for key in ("smallest_n", "smallest_n_surely")]
        )
    limits = ", ".join(f"{metrics.METRICS[name].label.lower()} {limit:g}" for name, limit in options.targets.items())
    caption = (
        f"The budget of {options.model_label(options.experiment.models[0])}: mean over n by trapezoids in log n, from "
        f"the smallest n to the largest; the same minus Random's, and in % of it; the smallest n whose mean is at most "
        f"the target ({limits or 'none is set'}), and the smallest whose interval is too. Bold: Holm-adjusted p "
        f"below {contrasts.LEVEL}."
    )
    said = [
        contrasts.PAIRED + " Areas are contrasted trial by trial and prompt by prompt; in % the delta method is used.",
        *contrasts.shared_runs(data),
        "Holm's adjustment is over the samplers of one metric. The target is the key `targets` of the config.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    header = ["Metric", "Sampler", "Area", "Minus Random", "% of Random", "Smallest n", "Surely"]
    return Table("Budget", caption, header, body, said, data, contrasts.columns(2, 5))


def _budget(cells: contrasts.Matrices, name: str, options: Options) -> pd.DataFrame:
    """Return one row per sampler: area, difference from Random's, and the smallest n that meets the target."""
    rows = []
    by_n = {name: {n: cells[each, n] for each, n in sorted(cells) if each == name} for name, _ in cells}
    areas = Cells({name: _area(ours) for name, ours in by_n.items()}, cells.whole)
    random = by_n.get(RANDOM, {})
    for sampler in in_order(by_n):
        ours = by_n[sampler]
        means = {n: cells.estimate((sampler, n)) for n in ours}
        area = area_under_curve(list(means), [found.mean for found in means.values()])
        change, relative = NOTHING, NOTHING
        if sampler != RANDOM and set(ours) == set(random) and len(ours) > 1:
            change = areas.difference(sampler, RANDOM)
            base = float(np.nanmean(areas[RANDOM].to_numpy()))
            if metrics.METRICS[name].direction == "lower" and base > 0 and change.runs:
                # The error of q = ours / Random's is that of the mean of (ours - q Random's) / Random's mean.
                ratio = 1 + change.mean / base
                first, second, spread = areas.pair(sampler, RANDOM, ratio)
                spread = spread and spread.times(1 / base**2)
                relative = statistics.difference(first / base, ratio * second / base, spread=spread)
        limit = options.targets.get(name, math.nan)
        row = (
            {"metric": name, "sampler": sampler, "area": area}
            | contrasts.columns_of(change, "difference")
            | {"p": contrasts.p_of(change)}
        )
        percent = 100 * change.mean / base if relative.runs else math.nan
        low, high = (percent + 100 * (end - relative.mean) for end in relative.interval())
        row |= {"relative": percent, "relative_low_two_way": low, "relative_high_two_way": high, "target": limit}
        row["smallest_n"] = next((n for n, found in means.items() if found.mean <= limit), None)
        row["smallest_n_surely"] = next((n for n, found in means.items() if _surely(found, limit, len(cells))), None)
        rows.append(row)
    table = pd.DataFrame(rows)
    whole = dict.fromkeys(("smallest_n", "smallest_n_surely"), "Int64")
    return (
        table.assign(p_holm=statistics.holm(table["p"].astype(float)), family=f"{name}, {RANDOM}")
        .astype(whole)
        .round(6)
    )


def _area(cells: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """Return the area per trial and prompt, over the trials that every n has."""
    sizes = list(cells)
    weights = [area_under_curve(sizes, np.eye(len(sizes))[place]) for place in range(len(sizes))]
    trials = sorted(set.intersection(*(set(table.index) for table in cells.values())))
    return sum(weight * table.loc[trials] for weight, table in zip(weights, cells.values(), strict=True))


def _surely(found: Estimate, limit: float, comparisons: int) -> bool:
    return found.over != PROMPTS_ONLY and found.interval(comparisons)[1] <= limit


def _reached(n: object, target: float) -> str:
    """Return the smallest n as text: MISSING without a target, "none" if no n meets it."""
    if math.isnan(target):
        return MISSING
    return "none" if pd.isna(n) else str(n)
