"""Figures 2-7 of the paper: behaviours, samplers against Random, the pool's behaviours, over-refusal, rewriting."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ballast import schemas
from ballast.names import (
    AS_IS,
    BEHAVIOURS,
    NONE,
    RANDOM,
    REFERENCES,
    REWRITING,
    UNKNOWN,
    in_order,
    sampler_label,
    short_label,
)
from ballast.results import all_methods_figure, frontier, metrics, notes, style
from ballast.results.metrics import METRICS
from ballast.results.style import Drawn
from ballast.samplers import split
from ballast.study.artefacts import Options

SIZE_LABEL = "n, safety examples added"
BETTER = "lower than Random"
SHADE = 0.22  # opacity
OVER_REFUSAL_SAMPLERS = (RANDOM, "pss-b", "sss-b", "cossim-b")
REFERENCE_LINES = {NONE: (0, (4, 2)), AS_IS: (0, (1, 1.5))}


def figure_2(options: Options, paths: Sequence[str]) -> Drawn:
    """Harm and helpfulness after fine-tuning with a single behaviour."""
    scores = metrics.read_scores(paths[0])
    runs = {name: metrics.measure(scores, name, options) for name in ("harm", "helpfulness")}
    cells = {name: metrics.cells_of(scores, name, options) for name in runs}
    every = pd.concat([table.assign(metric=name) for name, table in cells.items()])
    metrics.require_cells(every, paths[0], "figure 2")
    samplers = [name for name in in_order(options.experiment.samplers) if name not in REFERENCES]
    mark = f"{options.experiment.n[0]} safety examples of one behaviour; small dots are single runs. Bars"
    canvas = style.canvas(2, 2.4, _small_print(options, every, mark))
    for panel, name in zip(canvas.panels, cells, strict=True):
        for place, sampler in enumerate(samplers):
            _behaviour(panel, place, sampler, runs[name], cells[name])
        _references(panel, cells[name])
        panel.set_xticks(range(len(samplers)), [_behaviour_label(sampler) for sampler in samplers])
        panel.set_xlim(-0.6, len(samplers) - 0.4)
        panel.set_title(f"{METRICS[name].label} ({METRICS[name].direction} is better)")
        panel.set_ylabel(METRICS[name].unit)
    _legend(canvas, every, [])
    return Drawn(canvas.figure, metrics.long_form(every, ["metric", "sampler", "n"]))


def figure_3(options: Options, paths: Sequence[str]) -> Drawn:
    """Harm by n: each behavioural sampler against Random."""
    return _against_random(3, "harm", lambda sampler: split(sampler)[1] is not None, options, paths[0])


def figure_4(options: Options, paths: Sequence[str]) -> Drawn:
    """Attack success rate by n: every sampler against Random."""
    return _against_random(4, "asr", lambda sampler: True, options, paths[0])


def figure_5(options: Options, paths: Sequence[str]) -> Drawn:
    """How many rows of the pool show each behaviour. `paths`: the labels."""
    labels = schemas.read(paths[0], schemas.BEHAVIOUR)
    kinds = [*BEHAVIOURS, UNKNOWN]
    count = labels["behaviour"].value_counts().reindex(kinds, fill_value=0)
    data = pd.DataFrame({"behaviour": kinds, "rows": count.to_numpy(), "percent": 100 * count.to_numpy() / len(labels)})
    said = [f"Behaviour: labelled by {judge}." for judge in options.labellers.values()]
    said += [*options.stand_ins.values(), "unknown: the labeller could not tell."]
    said = [f"Study {options.study}.", *said, *notes.synthetic(options)]
    canvas = style.canvas(1, 1.4, said)
    panel = canvas.panels[0]
    panel.barh(kinds, data["rows"], height=0.66, color=[style.BEHAVIOUR_HUES[kind] for kind in kinds])
    for place, (number, percent) in enumerate(zip(data["rows"], data["percent"], strict=True)):
        text = f"{number:,}  ({percent:.1f} %)"
        panel.annotate(text, (number, place), (4, 0), textcoords="offset points", va="center", fontsize=7)
    explained = [
        f"{kind}   {instruction} instruction, {response}" for kind, (instruction, response) in BEHAVIOURS.items()
    ]
    panel.set_yticks(range(len(kinds)), [*explained, "unknown"])
    panel.invert_yaxis()
    panel.set_xlim(0, 1.18 * max(data["rows"].max(), 1))
    panel.set_xlabel(f"rows of the pool (of {len(labels):,})")
    panel.grid(axis="y", visible=False)
    panel.grid(axis="x", visible=True)
    return Drawn(canvas.figure, data.round(6))


def figure_6(options: Options, paths: Sequence[str]) -> Drawn:
    """Over-refusal by n: Random and the samplers of refusals, one panel each, the others pale behind it."""
    cells = _cells("over_refusal", 6, options, paths[0])
    methods = [name for name in OVER_REFUSAL_SAMPLERS if name in set(cells["sampler"])]
    cells = cells[cells["sampler"].isin([*methods, *REFERENCES])]
    metrics.require_cells(cells, paths[0], "figure 6")
    canvas = style.canvas(len(methods), 1.9, _small_print(options, cells, "Bands"), sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, methods, strict=True):
        for other in methods:
            if other != sampler:
                place, table = _line(cells, other)
                panel.plot(place, table["mean"], color=style.PALE, linewidth=1, zorder=1)
        _curve(panel, cells, sampler, style.hue(sampler), "band", marker=style.marker(sampler))
        _references(panel, cells)
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, _sizes(cells), canvas.columns)
    _legend(canvas, cells, [Line2D([], [], color=style.PALE, linewidth=1, label="the other samplers")])
    _axis_labels(canvas, "over_refusal")
    return Drawn(canvas.figure, metrics.long_form(cells, ["sampler", "n"]))


def figure_7(options: Options, paths: Sequence[str]) -> Drawn:
    """Attack success rate by n: random draws of a pool rewritten into refusals, and of safe pairs as they are."""
    cells = _cells("asr", 7, options, paths[0])
    cells = cells[cells["sampler"].isin([RANDOM, *REFERENCES])]
    metrics.require_cells(cells, paths[0], "figure 7")
    pools = options.experiment.pools
    labels = REWRITING if len(pools) == len(REWRITING) else pools
    looks = [(style.BLUE, "s"), (style.GREY, "o"), (style.ORANGE, "D"), (style.GREEN, "^")]
    canvas = style.canvas(1, 2.2, _small_print(options, cells, "Bars"))
    panel = canvas.panels[0]
    for rank, (pool, label) in enumerate(zip(pools, labels, strict=True)):
        color, marker = looks[rank % len(looks)]
        drawn = cells[cells["pool"] == pool]
        if RANDOM in set(drawn["sampler"]):
            _curve(panel, drawn, RANDOM, color, "bars", marker=marker, label=label)
    handles = panel.get_legend_handles_labels()[0]
    _references(panel, cells)
    style.size_axis(panel, _sizes(cells), canvas.columns)
    _legend(canvas, cells, handles)
    _axis_labels(canvas, "asr")
    return Drawn(canvas.figure, metrics.long_form(cells, ["pool", "sampler", "n"]))


FIGURES: dict[str, Callable[[Options, Sequence[str]], Drawn]] = {
    "figure2": figure_2,
    "figure3": figure_3,
    "figure4": figure_4,
    "figure5": figure_5,
    "figure6": figure_6,
    "figure7": figure_7,
    "frontier": frontier.frontier,
    "budget": frontier.budget,
    "categories": frontier.categories,
    "beyond": all_methods_figure.beyond,
}


def _against_random(number: int, name: str, wanted: Callable[[str], bool], options: Options, path: str) -> Drawn:
    """One panel per sampler, shaded where its line runs below that of Random."""
    cells = _cells(name, number, options, path)
    cells = cells[~cells["sampler"].isin(REFERENCES)]
    methods = [name for name in in_order(cells["sampler"]) if name != RANDOM and wanted(name)]
    cells = cells[cells["sampler"].isin([RANDOM, *methods])]
    small_print = _small_print(options, cells, "Bars and the grey band")
    canvas = style.canvas(max(len(methods), 1), 1.8, small_print, sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, methods or [RANDOM], strict=True):
        _curve(panel, cells, RANDOM, style.hue(RANDOM), "band")
        if sampler != RANDOM:
            _shade_below(panel, cells, sampler)
            _curve(panel, cells, sampler, style.hue(sampler), "bars", marker=style.marker(sampler))
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, _sizes(cells), canvas.columns)
    handles = [Line2D([], [], color=style.INK, label="the panel's sampler")] * bool(methods)
    if RANDOM in set(cells["sampler"]):
        handles.insert(0, Line2D([], [], color=style.GREY, marker="o", label=sampler_label(RANDOM)))
        handles.append(Patch(color=style.RED, alpha=SHADE, linewidth=0, label=BETTER))
    _legend(canvas, cells, handles)
    _axis_labels(canvas, name)
    return Drawn(canvas.figure, metrics.long_form(cells, ["sampler", "n"]))


def _cells(name: str, number: int, options: Options, path: str) -> pd.DataFrame:
    cells = metrics.cells_of(metrics.read_scores(path), name, options)
    return metrics.require_cells(cells, path, f"figure {number}")


def _sizes(cells: pd.DataFrame) -> list[int]:
    return sorted(set(cells.loc[~cells["sampler"].isin(REFERENCES), "n"]))


def _line(cells: pd.DataFrame, sampler: str) -> tuple[np.ndarray, pd.DataFrame]:
    """A sampler's cells by n, and where each stands on the axis."""
    table = cells[cells["sampler"] == sampler].sort_values("n")
    return np.log10(table["n"].to_numpy(float)), table


def _curve(panel: Axes, cells: pd.DataFrame, sampler: str, color: str, interval: str, marker="o", label="") -> None:
    """The mean by n with its interval, as a band or as bars; no interval is drawn where there is one trial."""
    place, table = _line(cells, sampler)
    if interval == "band":
        panel.fill_between(place, table["low_t"], table["high_t"], color=color, alpha=0.18, linewidth=0, zorder=1)
    else:
        panel.errorbar(
            place, table["mean"], table["half"], fmt="none", ecolor=color, elinewidth=0.9, capsize=1.8, zorder=3
        )
    panel.plot(place, table["mean"], color=color, marker=marker, label=label, zorder=4)


def _shade_below(panel: Axes, cells: pd.DataFrame, sampler: str) -> None:
    """Shade between a sampler and Random where the sampler is lower, up to the very crossing of the lines."""
    ours, random = _line(cells, sampler)[1], _line(cells, RANDOM)[1]
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


def _references(panel: Axes, cells: pd.DataFrame) -> None:
    """Level lines of the model as it is and of base data alone, where they were measured."""
    levels = cells.groupby("sampler")["mean"].first()
    for name, dashes in REFERENCE_LINES.items():
        if name in levels.index:
            panel.axhline(levels[name], color=style.INK, linewidth=0.9, linestyle=dashes, zorder=1)


def _behaviour(panel: Axes, place: int, sampler: str, runs: pd.DataFrame, cells: pd.DataFrame) -> None:
    """One behaviour's single runs, mean and interval."""
    values = runs.loc[runs["sampler"] == sampler, "value"]
    cell = cells[cells["sampler"] == sampler]
    color = style.BEHAVIOUR_HUES.get(split(sampler)[1], style.GREY)
    aside = place + 0.22 + np.linspace(-0.06, 0.06, len(values)) * (len(values) > 1)
    panel.plot(aside, values, ".", color=color, alpha=0.45, markersize=4, markeredgewidth=0)
    panel.errorbar(
        [place] * len(cell), cell["mean"], cell["half"], fmt="o", color=color, markersize=6, capsize=3, elinewidth=1.4
    )


def _behaviour_label(sampler: str) -> str:
    return "\n".join([sampler_label(sampler), *BEHAVIOURS.get(split(sampler)[1], ())])


def _legend(canvas: style.Canvas, cells: pd.DataFrame, handles: list) -> None:
    """One legend above the panels: `handles`, then the level lines that are drawn."""
    lines = [
        Line2D([], [], color=style.INK, linewidth=0.9, linestyle=dashes, label=sampler_label(name))
        for name, dashes in REFERENCE_LINES.items()
        if name in set(cells["sampler"])
    ]
    if handles or lines:
        canvas.upper.legend(handles=[*handles, *lines], loc="outside upper left", ncols=len(handles) + len(lines))


def _axis_labels(canvas: style.Canvas, name: str) -> None:
    canvas.upper.supxlabel(SIZE_LABEL, fontsize=8, color=style.INK)
    canvas.upper.supylabel(METRICS[name].axis_label, fontsize=8, color=style.INK)
    if METRICS[name].unit == "%":  # an interval may reach beyond what a rate can be; the axis does not
        low, high = canvas.panels[0].get_ylim()
        margin = 0.03 * (high - low)
        canvas.panels[0].set_ylim(max(low, -margin), min(high, 100 + margin))


def _small_print(options: Options, cells: pd.DataFrame, mark: str) -> list[str]:
    """What stands under a figure of scores; `mark` names what shows the interval."""
    study = f"Study {options.study}, model {options.model_label(options.experiment.models[0])}."
    compared = cells[~cells["sampler"].isin(REFERENCES)]
    return [study, notes.intervals(compared, mark), *notes.judged_by(options), *notes.synthetic(options)]
