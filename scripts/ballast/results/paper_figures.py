"""Share the parts of figures over n: curves, intervals, shading below Random, level lines, axes, legend, notes."""

from collections.abc import Callable, Iterable, Sequence

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
LEGEND_CHARACTERS, LEGEND_KEY = 130, 7  # on a line, and as wide as a key with its space
# The area below Random, by whether the sampler has one run.
SHADES = {
    False: {"color": style.PALE_RED, "linewidth": 0},
    True: {"facecolor": "none", "edgecolor": style.RED, "alpha": 0.4, "linewidth": 0, "hatch": "//////"},
}
REFERENCE_LINES = {NONE: (0, (4, 2)), AS_IS: style.DOTTED}
T_INTERVAL, TWO_WAY = ["low_t", "high_t"], metrics.TWO_WAY[:2]


def against_random(
    figure: str, name: str, wanted: Callable[[str], bool], options: Options, paths: Sequence[str]
) -> Drawn:
    """Draw one panel per sampler that is `wanted`, shaded where its line runs below that of Random."""
    cells = cells_of(name, figure, options, paths)
    cells = cells[cells["sampler"].isin([RANDOM, *REFERENCES]) | cells["sampler"].map(wanted)]
    said = notes_below(options, cells, "Bars and the grey band")
    return Drawn(
        panels_against_random(cells, metrics.metric(name, options), said), metrics.long_form(cells, ["sampler", "n"])
    )


def panels_against_random(cells: pd.DataFrame, metric: metrics.Metric, said: list[str]) -> style.Figure:
    """Return the figure of `cells`: sampler, n, mean, low_t, high_t and trials; `said`: its small print."""
    methods = [name for name in in_order(cells["sampler"]) if name not in (RANDOM, *REFERENCES)]
    canvas = style.canvas(max(len(methods), 1), 1.8, said, sharex=True, sharey=True)
    shaded = set()
    for panel, sampler in zip(canvas.panels, methods or [RANDOM], strict=True):
        curve(panel, cells, RANDOM, style.hue(RANDOM), "band")
        if sampler != RANDOM:
            shaded |= shade_below(panel, cells, sampler)
            curve(panel, cells, sampler, style.hue(sampler), "bars", marker=style.marker(sampler))
        references(panel, cells)
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, sizes(cells), canvas.columns)
    handles = []
    if RANDOM in set(cells["sampler"]):
        handles.append(Line2D([], [], color=style.hue(RANDOM), marker="o", label=short_label(RANDOM)))
    handles += [Patch(label=BETTER + ", one run" * alone, **SHADES[alone]) for alone in sorted(shaded)]
    legend(canvas, cells, handles)
    axis_labels(canvas, metric)
    return canvas.figure


def cells_of(name: str, figure: str, options: Options, paths: Sequence[str]) -> pd.DataFrame:
    """Return the cells of a metric that have a mean. Raise BallastError if none has one."""
    return metrics.require_cells(metrics.cells_of(metrics.read_scores(paths), name, options), paths, figure)


def sizes(cells: pd.DataFrame) -> list[int]:
    """Return each n of the cells, without references."""
    return sorted(set(cells.loc[~cells["sampler"].isin(REFERENCES), "n"]))


def line(cells: pd.DataFrame, sampler: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the places of a sampler's cells on the axis, log10(n), and the cells by n."""
    table = cells[cells["sampler"] == sampler].sort_values("n")
    return np.log10(table["n"].to_numpy(float)), table


def curve(
    panel: Axes,
    cells: pd.DataFrame,
    sampler: str,
    color: str,
    interval: str,
    marker: str = "o",
    label: str = "",
    ends: Sequence[str] = T_INTERVAL,
    aside: float = 0.0,
) -> None:
    """Draw the mean by n with its interval, a band or bars; one run has a hollow marker and no band.

    `ends` are the interval's columns; `aside` moves the curve along the axis.
    """
    place, table = line(cells, sampler)
    place, mean, alone = place + aside, table["mean"].to_numpy(), (table["trials"] == 1).to_numpy()
    low, high = table[ends].to_numpy(float).T
    bars = alone | (interval == "bars")
    style.whiskers(panel, place[bars], low[bars], high[bars], alone[bars], color)
    shown = np.where(alone, np.nan, [low, high])
    if interval == "band":
        panel.fill_between(place, *shown, color=color, alpha=0.18, linewidth=0, zorder=1)
        panel.plot(place, shown.T, color=color, linewidth=0.4, alpha=0.6, zorder=2.5)
    panel.plot(place, mean, color=color, marker=marker, label=label, zorder=4)
    if alone.any():
        panel.plot(place[alone], mean[alone], marker, color=color, markerfacecolor="white", zorder=5)


def shade_below(panel: Axes, cells: pd.DataFrame, sampler: str) -> set[bool]:
    """Shade between a sampler and Random where the sampler is lower, up to the crossing of the lines.

    The area of a sampler with one run is hatched, since it is no interval and must not look like one. Return the key of
    SHADES that is drawn, in a set, which is empty if the sampler is nowhere lower.
    """
    ours, random = line(cells, sampler)[1], line(cells, RANDOM)[1]
    common, alone = ours.merge(random, on="n", suffixes=("", "_random")), bool((ours["trials"] == 1).all())
    lower = common["mean"] < common["mean_random"]
    place, between = np.log10(common["n"]), (common["mean"], common["mean_random"])
    panel.fill_between(place, *between, where=lower, interpolate=True, zorder=2, label=BETTER, **SHADES[alone])
    return {alone} if lower.any() else set()


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
    handles = [*handles, *lines]
    if handles:
        wide = sum(len(handle.get_label()) + LEGEND_KEY for handle in handles)
        columns = -(-len(handles) // -(-wide // LEGEND_CHARACTERS))
        canvas.upper.legend(handles=handles, loc="outside upper left", ncols=columns)


def axis_labels(canvas: style.Canvas, metric: metrics.Metric) -> None:
    """Label the axes, and start the vertical one at the low end of the metric's scale."""
    canvas.upper.supxlabel(SIZE_LABEL, fontsize=8, color=style.INK)
    canvas.upper.supylabel(metric.axis_label, fontsize=8, color=style.INK)
    canvas.panels[0].set_ylim(style.hold_scale(canvas.panels[0].get_ylim(), metric.scale, 0.0))


def held(limits: tuple[float, float], scores: pd.DataFrame, name: str, options: Options) -> tuple[float, float]:
    """Return `style.hold_scale` of a metric's axis; without a scale, it spans one SD of responses' scores."""
    metric = metrics.metric(name, options)
    used = scores[(scores["benchmark"] == metric.benchmark) & (scores["judge"] == options.judges[name])]
    return style.hold_scale(limits, metric.scale, metric.factor * float(used["score"].std(ddof=0)))


def span_notes(names: Iterable[str], options: Options) -> list[str]:
    """Return a sentence on the axis of each metric that has no scale."""
    found = [metrics.metric(name, options) for name in names]
    return [f"{one.label} axis: at least one SD of single responses' scores." for one in found if not one.scale]


def notes_below(options: Options, cells: pd.DataFrame, mark: str, shown: Iterable[str] | None = None) -> list[str]:
    """Return the notes under a figure of scores.

    `mark` names the marks that show the interval; `shown` are the figure's metrics, by default all of its options.
    """
    study = f"Study {options.study}, model {options.model_label(options.experiment.models[0])}."
    compared = cells[~cells["sampler"].isin(REFERENCES)]
    alone = ["Hollow markers: one run."] * bool((compared["trials"] == 1).any())
    return [
        *(study, notes.intervals(compared, mark), *alone),
        *notes.judged_by(options, shown),
        *notes.synthetic(options),
    ]
