"""Draw harm against the cost of safety, beyond the paper: over-refusal, and lost helpfulness."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ballast.names import REFERENCES, in_order, short_label
from ballast.results import metrics, notes, paper_figures, style
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
    costs, sizes = [part["cost"].iloc[0] for part in parts], sorted(options.experiment.n)
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"A line joins a sampler's n, {sizes[0]} to {sizes[-1]}; its name stands at {sizes[-1]}.",
        "Larger markers: larger n. Rings: no other point is better in one and as good in the other, by the means; "
        "intervals, no safety data and the model as it is are in the CSV.",
        *paper_figures.span_notes(costs, options),
        *notes.judged_by(options, ["harm", *costs]),
        *notes.synthetic(options),
    ]
    ends = [f"{name}_{part}" for part in ("harm", "cost") for name in ("mean", "se", "low_two_way", "high_two_way")]
    table = _sorted(data).reindex(columns=["cost", "sampler", "n", *ends, "optimal"]).round(6)
    if not parts:
        return Drawn(style.sentence("No sampler has over-refusal or helpfulness beside harm.", said), table)
    canvas = style.canvas(len(parts), 3.0, said, sharey=True)
    for panel, part, cost in zip(canvas.panels, parts, costs, strict=True):
        _frontier(panel, part, metrics.metric(cost, options))
        panel.set_xlim(paper_figures.held(panel.get_xlim(), scores, cost, options))
        panel.set_ylim(paper_figures.held(panel.get_ylim(), scores, "harm", options))
        style.label_points(panel, _ends(part))
    canvas.panels[0].set_ylabel(metrics.metric("harm", options).axis_label)
    return Drawn(canvas.figure, table)


def optimal(harm: pd.Series, cost: pd.Series, direction: str) -> pd.Series:
    """Return per point whether no other is at least as good in both and better in one; less harm is better."""
    signed = cost if direction == "lower" else -cost
    points = np.column_stack([harm, signed])
    beaten = [bool(((points <= point).all(axis=1) & (points < point).any(axis=1)).any()) for point in points]
    return pd.Series(np.logical_not(beaten), index=harm.index)


def _frontier(panel: Axes, part: pd.DataFrame, cost: metrics.Metric) -> None:
    panel.margins(x=0.05, y=0.07)
    for sampler in (name for name in in_order(part["sampler"]) if name not in REFERENCES):
        rows = part[part["sampler"] == sampler].sort_values("n")
        place, level, color = rows["mean_cost"].to_numpy(), rows["mean_harm"].to_numpy(), style.hue(sampler)
        panel.plot(place, level, color=color, linewidth=1, linestyle="--" if split(sampler)[1] else "-")
        areas = 12 + 30 * np.arange(len(rows)) / max(len(rows) - 1, 1)
        panel.scatter(place, level, areas, color=color, marker=style.marker(sampler), zorder=3)
        best = rows["optimal"].to_numpy()
        panel.scatter(place[best], level[best], 95, facecolor="none", edgecolor=style.BLACK, linewidth=0.8, zorder=4)
    panel.set_xlabel(f"{cost.axis_label}, {cost.direction} is better")
    panel.set_title(f"Harm against {cost.label.lower()}")


def _ends(part: pd.DataFrame) -> list[tuple[float, float, str, str]]:
    """Return each sampler's point at its largest n, with its name and colour."""
    last = part[~part["sampler"].isin(REFERENCES)].sort_values("n").drop_duplicates("sampler", keep="last")
    return [
        (row.mean_cost, row.mean_harm, short_label(row.sampler), style.hue(row.sampler)) for row in last.itertuples()
    ]


def _sorted(data: pd.DataFrame) -> pd.DataFrame:
    order = in_order(data["sampler"])
    return data.sort_values(
        ["cost", "sampler", "n"],
        key=lambda column: column.map(order.index) if column.name == "sampler" else column,
        ignore_index=True,
    )
