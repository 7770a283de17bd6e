"""Draw harm against the cost of safety, beyond the paper: over-refusal, and lost helpfulness."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ballast.names import REFERENCES, in_order, short_label
from ballast.results import metrics, notes, style
from ballast.results.style import Drawn
from ballast.samplers import split
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm", "over_refusal", "helpfulness")
ONE = ("models", "pools")
COSTS = ("over_refusal", "helpfulness")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm against over-refusal and against helpfulness: a point per sampler and n, a line per sampler."""
    scores = metrics.read_scores(paths)
    harm = metrics.require_cells(metrics.cells_of(scores, "harm", options), paths[0], "the frontier")
    parts = []
    for cost in COSTS:
        other = metrics.cells_of(scores, cost, options)
        both = harm.merge(other, on=metrics.CELL, suffixes=("_harm", "_cost")).dropna(subset=["mean_harm", "mean_cost"])
        if not both[~both["sampler"].isin(REFERENCES)].empty:
            compared = both[~both["sampler"].isin(REFERENCES)]
            best = optimal(compared["mean_harm"], compared["mean_cost"], metrics.METRICS[cost].direction)
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
        _frontier(panel, part, metrics.metric(part["cost"].iloc[0], options))
    canvas.panels[0].set_ylabel(metrics.metric("harm", options).axis_label)
    ends = [f"{name}_{part}" for part in ("harm", "cost") for name in ("mean", "se", "low_two_way", "high_two_way")]
    return Drawn(canvas.figure, _sorted(data).reindex(columns=["cost", "sampler", "n", *ends, "optimal"]).round(6))


def optimal(harm: pd.Series, cost: pd.Series, direction: str) -> pd.Series:
    """Return per point whether no other is at least as good in both and better in one; less harm is better."""
    signed = cost if direction == "lower" else -cost
    points = np.column_stack([harm, signed])
    beaten = [bool(((points <= point).all(axis=1) & (points < point).any(axis=1)).any()) for point in points]
    return pd.Series(np.logical_not(beaten), index=harm.index)


def _frontier(panel: Axes, part: pd.DataFrame, cost: metrics.Metric) -> None:
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
