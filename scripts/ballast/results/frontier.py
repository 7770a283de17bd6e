"""Figures beyond the paper: the frontier of harm against what safety costs, the budget, and harm by category."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ballast.categories import title
from ballast.names import RANDOM, REFERENCES, in_order, short_label
from ballast.results import metrics, notes, style
from ballast.results.metrics import METRICS
from ballast.results.style import Drawn
from ballast.samplers import split
from ballast.study.artefacts import Options

COSTS = ("over_refusal", "helpfulness")
TWO_WAY = "95 % interval of the two-way bootstrap over runs and prompts"


def frontier(options: Options, paths: Sequence[str]) -> Drawn:
    """Harm against over-refusal and against helpfulness: a point per sampler and n, a line per sampler."""
    scores = metrics.read_scores(paths[0])
    harm = metrics.require_cells(metrics.cells_of(scores, "harm", options), paths[0], "the frontier")
    parts = []
    for cost in COSTS:
        other = metrics.cells_of(scores, cost, options)
        both = harm.merge(other, on=metrics.CELL, suffixes=("_harm", "_cost")).dropna(subset=["mean_harm", "mean_cost"])
        if not both[~both["sampler"].isin(REFERENCES)].empty:
            compared = both[~both["sampler"].isin(REFERENCES)]
            best = optimal(compared["mean_harm"], compared["mean_cost"], METRICS[cost].direction)
            parts.append(both.assign(cost=cost, optimal=best.reindex(both.index, fill_value=False)))
    data = pd.concat(parts, ignore_index=True) if parts else harm.iloc[:0].assign(cost="")
    sizes = sorted(options.experiment.n)
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"A line joins a sampler's n, {sizes[0]} to {sizes[-1]}; its name stands at {sizes[-1]}.",
        "Larger markers: larger n. Rings: no other point is better in one and as good in the other, by the means; "
        "intervals, no safety data and the model as it is are in the CSV.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    canvas = style.canvas(max(len(parts), 1), 3.0, said, sharey=True)
    for panel, part in zip(canvas.panels, parts, strict=False):
        _frontier(panel, part)
    canvas.panels[0].set_ylabel(METRICS["harm"].axis_label)
    ends = [f"{name}_{part}" for part in ("harm", "cost") for name in ("mean", "se", "low_two_way", "high_two_way")]
    return Drawn(canvas.figure, _sorted(data).reindex(columns=["cost", "sampler", "n", *ends, "optimal"]).round(6))


def optimal(harm: pd.Series, cost: pd.Series, direction: str) -> pd.Series:
    """Whether no other point is at least as good in both and better in one; less harm is better."""
    signed = cost if direction == "lower" else -cost
    points = np.column_stack([harm, signed])
    beaten = [bool(((points <= point).all(axis=1) & (points < point).any(axis=1)).any()) for point in points]
    return pd.Series(np.logical_not(beaten), index=harm.index)


def budget(options: Options, paths: Sequence[str]) -> Drawn:
    """Harm by n with two-way bands: one panel a sampler, Random behind each."""
    cells = metrics.cells_of(metrics.read_scores(paths[0]), "harm", options)
    cells = metrics.require_cells(cells, paths[0], "the budget")
    compared = cells[~cells["sampler"].isin(REFERENCES)]
    samplers = [name for name in in_order(compared["sampler"]) if name != RANDOM] or [RANDOM]
    alone = bool((compared["two_way_over"] == metrics.statistics.PROMPTS_ONLY).any())
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"Bands: {TWO_WAY}{', over prompts only where a sampler has one run' if alone else ''}. Grey: Random.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    canvas = style.canvas(len(samplers), 1.6, said, sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, samplers, strict=True):
        for name in dict.fromkeys((RANDOM, sampler)):
            rows = compared[compared["sampler"] == name].sort_values("n")
            place, color = np.log10(rows["n"].to_numpy(float)), style.hue(name)
            panel.fill_between(place, rows["low_two_way"], rows["high_two_way"], color=color, alpha=0.2, linewidth=0)
            panel.plot(place, rows["mean"], color=color, marker=style.marker(name))
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, sorted(set(compared["n"])), canvas.columns)
    random = compared[compared["sampler"] == RANDOM].sort_values("n")
    if not random.empty:
        start = (np.log10(random["n"].iloc[0]), random["mean"].iloc[0])
        style.label_line(canvas.panels[-1], start, short_label(RANDOM), style.hue(RANDOM))
    canvas.upper.supxlabel("n, safety examples added", fontsize=8, color=style.INK)
    canvas.upper.supylabel(METRICS["harm"].axis_label, fontsize=8, color=style.INK)
    return Drawn(canvas.figure, metrics.long_form(compared, ["sampler", "n"]))


def categories(options: Options, paths: Sequence[str]) -> Drawn:
    """Harm by category (columns) and sampler (rows) at the middle n, as numbers on a heat map."""
    sizes = sorted(options.experiment.n)
    n = sizes[(len(sizes) - 1) // 2]
    scores = metrics.read_scores(paths[0])
    metrics.require_cells(metrics.cells(metrics.measure(scores, "harm", options)), paths[0], "the heat map")
    data = metrics.by_category(scores, "harm", options)
    data = data[(data["n"] == n) | data["sampler"].isin(REFERENCES)]
    grid = data.pivot(index="sampler", columns="category", values="mean").reindex(in_order(data["sampler"]))
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"Mean harm with n = {n} safety examples; framed: the category in which a sampler does worst.",
        f"The smallest category has {data['prompts'].min() if len(grid) else 0} prompts; intervals are in the CSV.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    canvas = style.canvas(1, 0.22 * len(grid) + 1.5, said)
    panel = canvas.panels[0]
    if grid.empty:
        panel.set_title("No prompt of the benchmark has a category")
        panel.axis("off")
        return Drawn(canvas.figure, data)
    highest = max(float(np.nanmax(grid.to_numpy())), 0.01)
    panel.imshow(grid, cmap=style.HEAT, vmin=0, vmax=highest, aspect="auto")
    for row, (sampler, values) in enumerate(grid.iterrows()):
        worst = values.idxmax()
        for column, (category, value) in enumerate(values.items()):
            if not np.isnan(value):
                ink = "white" if value > 0.65 * highest else style.INK
                panel.text(column, row, f"{round(value, 1) + 0:.1f}", ha="center", va="center", fontsize=7, color=ink)
            if category == worst and sampler not in REFERENCES:
                panel.add_patch(style.frame(column, row))
    labels = [_short(title(category)) for category in grid.columns]
    panel.set_xticks(range(len(labels)), labels, rotation=35, ha="left", rotation_mode="anchor")
    panel.xaxis.tick_top()
    panel.set_yticks(range(len(grid)), [short_label(sampler) for sampler in grid.index])
    panel.tick_params(length=0)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    return Drawn(canvas.figure, data.reset_index(drop=True))


def _frontier(panel: Axes, part: pd.DataFrame) -> None:
    cost = METRICS[part["cost"].iloc[0]]
    names = []
    for sampler in (name for name in in_order(part["sampler"]) if name not in REFERENCES):
        rows = part[part["sampler"] == sampler].sort_values("n")
        place, level, color = rows["mean_cost"].to_numpy(), rows["mean_harm"].to_numpy(), style.hue(sampler)
        panel.plot(place, level, color=color, linewidth=1, linestyle="--" if split(sampler)[1] else "-")
        areas = 12 + 30 * np.arange(len(rows)) / max(len(rows) - 1, 1)
        panel.scatter(place, level, areas, color=color, marker=style.marker(sampler), zorder=3)
        best = rows["optimal"].to_numpy()
        panel.scatter(place[best], level[best], 95, facecolor="none", edgecolor=style.BLACK, linewidth=0.8, zorder=4)
        names.append((place[-1], level[-1], short_label(sampler), color))
    style.label_points(panel, names)
    panel.set_xlabel(f"{cost.axis_label}, {cost.direction} is better")
    panel.set_title(f"Harm against {cost.label.lower()}")


def _sorted(data: pd.DataFrame) -> pd.DataFrame:
    order = in_order(data["sampler"])
    return data.sort_values(
        ["cost", "sampler", "n"],
        key=lambda column: column.map(order.index) if column.name == "sampler" else column,
        ignore_index=True,
    )


def _short(text: str) -> str:
    return text.split(",")[0]
