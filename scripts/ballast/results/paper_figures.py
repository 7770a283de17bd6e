"""Share the parts of Figures 2, 3, 4, 6 and 7: curves, intervals, shading below Random, level lines, legend, notes."""

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ballast.names import AS_IS, NONE, RANDOM, REFERENCES, in_order, sampler_label, short_label
from ballast.results import metrics, notes, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

SIZE_LABEL = "n, safety examples added"
BETTER = "lower than Random"
SHADE = 0.22  # opacity
REFERENCE_LINES = {NONE: (0, (4, 2)), AS_IS: (0, (1, 1.5))}


def against_random(number: int, name: str, wanted: Callable[[str], bool], options: Options, path: str) -> Drawn:
    """Draw one panel per sampler, shaded where its line runs below that of Random."""
    cells = cells_of(name, number, options, path)
    cells = cells[~cells["sampler"].isin(REFERENCES)]
    methods = [name for name in in_order(cells["sampler"]) if name != RANDOM and wanted(name)]
    cells = cells[cells["sampler"].isin([RANDOM, *methods])]
    below = notes_below(options, cells, "Bars and the grey band")
    canvas = style.canvas(max(len(methods), 1), 1.8, below, sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, methods or [RANDOM], strict=True):
        curve(panel, cells, RANDOM, style.hue(RANDOM), "band")
        if sampler != RANDOM:
            shade_below(panel, cells, sampler)
            curve(panel, cells, sampler, style.hue(sampler), "bars", marker=style.marker(sampler))
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, sizes(cells), canvas.columns)
    handles = [Line2D([], [], color=style.INK, label="the panel's sampler")] * bool(methods)
    if RANDOM in set(cells["sampler"]):
        handles.insert(0, Line2D([], [], color=style.GREY, marker="o", label=sampler_label(RANDOM)))
        handles.append(Patch(color=style.RED, alpha=SHADE, linewidth=0, label=BETTER))
    legend(canvas, cells, handles)
    axis_labels(canvas, metrics.metric(name, options))
    return Drawn(canvas.figure, metrics.long_form(cells, ["sampler", "n"]))


def cells_of(name: str, number: int, options: Options, path: str) -> pd.DataFrame:
    """Return the cells of a metric that have a mean. Raise BallastError if none has one."""
    cells = metrics.cells_of(metrics.read_scores(path), name, options)
    return metrics.require_cells(cells, path, f"figure {number}")


def sizes(cells: pd.DataFrame) -> list[int]:
    """Return each n of the cells, without references."""
    return sorted(set(cells.loc[~cells["sampler"].isin(REFERENCES), "n"]))


def line(cells: pd.DataFrame, sampler: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the places of a sampler's cells on the axis, log10(n), and the cells by n."""
    table = cells[cells["sampler"] == sampler].sort_values("n")
    return np.log10(table["n"].to_numpy(float)), table


def curve(panel: Axes, cells: pd.DataFrame, sampler: str, color: str, interval: str, marker="o", label="") -> None:
    """Draw the mean by n with its interval, a band or bars; a single trial has no interval."""
    place, table = line(cells, sampler)
    if interval == "band":
        panel.fill_between(place, table["low_t"], table["high_t"], color=color, alpha=0.18, linewidth=0, zorder=1)
    else:
        panel.errorbar(
            place, table["mean"], style.bars(table), fmt="none", ecolor=color, elinewidth=0.9, capsize=1.8, zorder=3
        )
    panel.plot(place, table["mean"], color=color, marker=marker, label=label, zorder=4)


def shade_below(panel: Axes, cells: pd.DataFrame, sampler: str) -> None:
    """Shade between a sampler and Random where the sampler is lower, up to the crossing of the lines."""
    ours, random = line(cells, sampler)[1], line(cells, RANDOM)[1]
    common = ours.merge(random, on="n", suffixes=("", "_random"))
    panel.fill_between(
        np.log10(common["n"]),
        common["mean"],
        common["mean_random"],
        where=common["mean"] < common["mean_random"],
        interpolate=True,
        color=style.RED,
        alpha=SHADE,
        linewidth=0,
        zorder=2,
        label=BETTER,
    )


def references(panel: Axes, cells: pd.DataFrame) -> None:
    """Draw level lines of the untrained model and of base data alone, if they were measured."""
    levels = cells.groupby("sampler")["mean"].first()
    for name, dashes in REFERENCE_LINES.items():
        if name in levels.index:
            panel.axhline(levels[name], color=style.INK, linewidth=0.9, linestyle=dashes, zorder=1)


def legend(canvas: style.Canvas, cells: pd.DataFrame, handles: list) -> None:
    """Draw one legend above the panels: `handles`, then the level lines that are drawn."""
    lines = [
        Line2D([], [], color=style.INK, linewidth=0.9, linestyle=dashes, label=sampler_label(name))
        for name, dashes in REFERENCE_LINES.items()
        if name in set(cells["sampler"])
    ]
    if handles or lines:
        canvas.upper.legend(handles=[*handles, *lines], loc="outside upper left", ncols=len(handles) + len(lines))


def axis_labels(canvas: style.Canvas, metric: metrics.Metric) -> None:
    """Label the axes, and keep the axis of a rate within 0 and 100 %."""
    canvas.upper.supxlabel(SIZE_LABEL, fontsize=8, color=style.INK)
    canvas.upper.supylabel(metric.axis_label, fontsize=8, color=style.INK)
    if metric.rate:  # an interval may reach beyond 0 and 100 %; the axis does not
        low, high = canvas.panels[0].get_ylim()
        margin = 0.03 * (high - low)
        canvas.panels[0].set_ylim(max(low, -margin), min(high, 100 + margin))


def notes_below(options: Options, cells: pd.DataFrame, mark: str) -> list[str]:
    """Return the notes under a figure of scores; `mark` names the marks that show the interval."""
    study = f"Study {options.study}, model {options.model_label(options.experiment.models[0])}."
    compared = cells[~cells["sampler"].isin(REFERENCES)]
    return [study, notes.intervals(compared, mark), *notes.judged_by(options), *notes.synthetic(options)]
