"""Beyond the paper: each sampler against its controls at each n, and over the whole budget.

A contrast is paired: the same trials, whose seeds are shared, and the same prompts. Its interval is the two-way
bootstrap of `statistics`; with one shared run it leaves runs out, which is said, and has no p.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from ballast.files import BallastError
from ballast.markup import MISSING, Cell, Table, plus_minus
from ballast.names import RANDOM, REFERENCES, in_order, short_label
from ballast.results import metrics, notes, statistics
from ballast.results.metrics import METRICS
from ballast.results.statistics import NOTHING, PROMPTS_ONLY, Estimate, area_under_curve
from ballast.samplers import split
from ballast.study.artefacts import Options

RANDOM_B, PARENT = "random-b", "its own parent"
# Random among the same behaviour.
CONTROLS = {"T1": RANDOM_B, "T2": "t2", "T3": "t3", "T4": "t4"}
LEVEL = 0.05
Matrices = dict[tuple[str, int], pd.DataFrame]  # (sampler, n) -> trials x prompts
PAIRED = (
    "Difference: paired over the trials that both samplers have, whose seeds are shared, and over prompts; ± is the "
    "half-width of the 95 % interval of the two-way bootstrap over runs and prompts, no SD, SE or t-interval over runs."
)


def contrasts(options: Options, paths: Sequence[str]) -> Table:
    """Each sampler minus Random; one among a behaviour also minus Random among it and minus its parent, at every n."""
    scores = metrics.read_scores(paths[0])
    measured = _measured(scores, options, paths[0])
    data = pd.concat([_contrasts(cells, name) for name, cells in measured.items()], ignore_index=True)
    sizes = sorted(options.experiment.n)
    groups = data.groupby(["metric", "control", "sampler"], sort=False)
    body = []
    for (name, _, sampler), rows in groups:
        by_n = rows.set_index("n")
        cells = [_difference(by_n.loc[n]) if n in by_n.index else Cell(MISSING) for n in sizes]
        body.append(
            [
                Cell(METRICS[name].axis_label),
                Cell(f"{short_label(sampler)} against {short_label(rows['against'].iloc[0])}"),
                *cells,
            ]
        )
    caption = (
        f"Contrasts of {options.model_label(options.experiment.models[0])} by n (columns): sampler minus control. "
        f"Bold: Holm-adjusted p below {LEVEL}."
    )
    said = [
        PAIRED,
        *_shared(data),
        "Holm's adjustment is over a family: all samplers and n of one metric and one kind of control (Random; "
        f"Random-B; {PARENT}). The CSV names it and has SE, interval, p, adjusted p and shared runs of each contrast.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    return Table("Contrasts", caption, ["Metric", "Contrast", *map(str, sizes)], body, said, data, _left(2, len(sizes)))


def budget(options: Options, paths: Sequence[str]) -> Table:
    """Each sampler's mean over the budget, its difference to Random, and the smallest n that meets the target."""
    scores = metrics.read_scores(paths[0])
    parts = [_budget(cells, name, options) for name, cells in _measured(scores, options, paths[0]).items()]
    data = pd.concat(parts, ignore_index=True)
    body = []
    for row in data.to_dict("records"):
        decimals = _decimals(row["metric"])
        change = plus_minus(row["difference"], row["difference"] - row["low_two_way"], decimals)
        relative = plus_minus(row["relative"], row["relative"] - row["relative_low_two_way"], 1)
        known = bool(row["p_holm"] < LEVEL)
        body.append(
            [Cell(METRICS[row["metric"]].axis_label), Cell(short_label(row["sampler"]))]
            + [Cell(plus_minus(row["area"], math.nan, decimals))]
            + [Cell(change, known)]
            + [Cell(relative)]
            + [Cell(_reached(row[key], row["target"])) for key in ("smallest_n", "smallest_n_surely")]
        )
    limits = ", ".join(f"{METRICS[name].label.lower()} {limit:g}" for name, limit in options.targets.items())
    caption = (
        f"The budget of {options.model_label(options.experiment.models[0])}: mean over n by trapezoids in log n, from "
        f"the smallest n to the largest; the same minus Random's, and in % of it; the smallest n whose mean is at most "
        f"the target ({limits or 'none is set'}), and the smallest whose interval is too. Bold: Holm-adjusted p "
        f"below {LEVEL}."
    )
    said = [
        PAIRED + " Areas are contrasted trial by trial and prompt by prompt; in % the delta method is used.",
        *_shared(data),
        "Holm's adjustment is over the samplers of one metric. The target is the key `targets` of the config.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    header = ["Metric", "Sampler", "Area", "Minus Random", "% of Random", "Smallest n", "Surely"]
    return Table("Budget", caption, header, body, said, data, _left(2, 5))


def matrices(scores: pd.DataFrame, name: str, options: Options) -> Matrices:
    """Trials x prompts of the options' one model and pool, by sampler and n, references aside."""
    cells = metrics.by_sampler(scores, name, options)
    return {cell: table for cell, table in cells.items() if cell[0] not in REFERENCES}


def _measured(scores: pd.DataFrame, options: Options, path: str) -> dict[str, Matrices]:
    """The matrices of each metric that the experiment's runs were measured on."""
    found = {name: cells for name in options.judges if (cells := matrices(scores, name, options))}
    if not found:
        raise BallastError(f"{path}: no run of the experiment has a score; check its samplers and n in the config")
    return found


def against(sampler: str, present: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The controls of a sampler: kind of control, and the sampler that it is."""
    parent, among = split(sampler)
    if sampler != RANDOM and RANDOM in present:
        yield RANDOM, RANDOM
    if among and parent != RANDOM:
        if (control := CONTROLS[among]) in present:
            yield control, control
        if parent in present:
            yield PARENT, parent


def columns_of(found: Estimate, mean: str) -> dict[str, object]:
    """An estimate as a CSV names it; `mean` is the name of its mean."""
    names = {"se": found.se, "low_two_way": found.low, "high_two_way": found.high, "two_way_over": found.over}
    return {mean: found.mean} | names | {"shared_runs": found.runs, "prompts": found.prompts}


def _contrasts(cells: Matrices, name: str) -> pd.DataFrame:
    samplers, sizes = in_order(sampler for sampler, _ in cells), sorted({n for _, n in cells})
    rows = []
    for kind in (RANDOM, *CONTROLS.values(), PARENT):
        for sampler in samplers:
            for control in (control for found, control in against(sampler, samplers) if found == kind):
                for n in (n for n in sizes if (sampler, n) in cells and (control, n) in cells):
                    found = statistics.difference(cells[sampler, n], cells[control, n])
                    about = {"metric": name, "control": kind, "sampler": sampler, "against": control, "n": n}
                    rows.append(about | columns_of(found, "difference") | {"p": found.p})
    columns = ["metric", "control", "sampler", "against", "n", *columns_of(NOTHING, "difference"), "p"]
    table = pd.DataFrame(rows, columns=columns).astype({"difference": float, "p": float})
    adjusted = table.groupby("control", group_keys=False)["p"].transform(statistics.holm)
    return table.assign(p_holm=adjusted, family=name + ", " + table["control"]).round(6)


def _budget(cells: Matrices, name: str, options: Options) -> pd.DataFrame:
    """One row per sampler: area, difference to Random's, and where the target is met."""
    rows = []
    random = {n: table for (sampler, n), table in cells.items() if sampler == RANDOM}
    for sampler in in_order(sampler for sampler, _ in cells):
        ours = {n: table for (each, n), table in sorted(cells.items()) if each == sampler}
        means = {n: statistics.estimate(table.to_numpy()) for n, table in ours.items()}
        area = area_under_curve(list(means), [found.mean for found in means.values()])
        change, relative = NOTHING, NOTHING
        if sampler != RANDOM and set(ours) == set(random) and len(ours) > 1:
            first, second = _area(ours), _area(random)
            change = statistics.difference(first, second)
            base = float(np.nanmean(second.to_numpy()))
            if METRICS[name].direction == "lower" and base > 0 and change.runs:
                # Of the ratio q = ours / Random's: the mean of (ours - q Random's) / Random's mean carries its error.
                ratio = 1 + change.mean / base
                relative = statistics.difference(first / base, ratio * second / base)
        limit = options.targets.get(name, math.nan)
        row = {"metric": name, "sampler": sampler, "area": area} | columns_of(change, "difference") | {"p": change.p}
        percent = 100 * change.mean / base if relative.runs else math.nan
        row |= {"relative": percent, "relative_low_two_way": percent - 100 * relative.half}
        row |= {"relative_high_two_way": percent + 100 * relative.half, "target": limit}
        row["smallest_n"] = next((n for n, found in means.items() if found.mean <= limit), None)
        row["smallest_n_surely"] = next((n for n, found in means.items() if _surely(found, limit)), None)
        rows.append(row)
    table = pd.DataFrame(rows)
    whole = dict.fromkeys(("smallest_n", "smallest_n_surely"), "Int64")
    return (
        table.assign(p_holm=statistics.holm(table["p"].astype(float)), family=f"{name}, {RANDOM}")
        .astype(whole)
        .round(6)
    )


def _area(cells: dict[int, pd.DataFrame]) -> pd.DataFrame:
    """The area of each trial and prompt, over the trials that every n has."""
    sizes = list(cells)
    weights = [area_under_curve(sizes, np.eye(len(sizes))[place]) for place in range(len(sizes))]
    trials = sorted(set.intersection(*(set(table.index) for table in cells.values())))
    return sum(weight * table.loc[trials] for weight, table in zip(weights, cells.values(), strict=True))


def _surely(found: Estimate, limit: float) -> bool:
    return found.over != PROMPTS_ONLY and found.high <= limit


def _difference(row: pd.Series) -> Cell:
    known = bool(row["p_holm"] < LEVEL)
    text = plus_minus(row["difference"], row["difference"] - row["low_two_way"], _decimals(row["metric"]))
    return Cell(text, known)


def _reached(n: object, target: float) -> str:
    """The smallest n as text; missing where there is no target, none where no n meets it."""
    if math.isnan(target):
        return MISSING
    return "none" if pd.isna(n) else str(n)


def _decimals(name: str) -> int:
    return {"%": 1, "reward": 3}.get(METRICS[name].unit, 2)


def _shared(data: pd.DataFrame) -> list[str]:
    """Over how many shared runs, and of how many contrasts the interval leaves runs out."""
    there = data[data["shared_runs"] > 0]
    if there.empty:
        return ["No two samplers share a trial, so there is nothing to contrast."]
    low, high = int(there["shared_runs"].min()), int(there["shared_runs"].max())
    said = [f"Shared runs: {low}." if low == high else f"Shared runs: {low} to {high}."]
    alone = int((there["two_way_over"] == PROMPTS_ONLY).sum())
    if alone:
        said.append(f"{alone} of {len(there)} have one shared run: their interval is over prompts only, and has no p.")
    return said


def _left(left: int, centred: int) -> list[str]:
    return ["l"] * left + ["c"] * centred
