"""Draw the advice: every cell's verdict, and all samplers at the advised n against each limit."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from ballast.names import in_order, short_label
from ballast.results import notes, style
from ballast.results.advice import LIKELY, MEETS, NO, UNMEASURED, Advice, Judged, table
from ballast.results.advice_words import NAMES
from ballast.results.statistics import PROMPTS_ONLY
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

FILLS = {MEETS: style.BLUE, LIKELY: style.SKY, NO: "#F2F2F2", UNMEASURED: "#FFFFFF"}
INKS = {MEETS: "#FFFFFF", LIKELY: style.BLACK, NO: style.GREY, UNMEASURED: style.GREY}
MARKED = style.VERMILLION  # the advised cell, and the limits
LINE = 0.125  # inches between two numbers of a cell
TEXT = 6.0  # points


def draw(advice: Advice, options: Options) -> Drawn:
    """Draw a grid of samplers by n, coloured by verdict, and one panel per limit at the advised n."""
    samplers = in_order(cell.sampler for cell in advice.cells)
    sizes = sorted({cell.n for cell in advice.cells})
    limits = list(advice.limits)
    shown = advice.shown
    row = 0.1 + LINE * len(limits)
    panels = style.canvas(
        1 + len(limits),
        0.55 + row * len(samplers),
        _small_print(advice, options),
        columns=1 + len(limits),
        sharey=True,
        # With fractions the layout's last digits differ between processes.
        width_ratios=[max(1, round(0.32 * len(sizes))), *[1] * len(limits)],
    )
    grid, *closer = panels.panels
    _verdicts(grid, advice, samplers, sizes)
    for panel, limit in zip(closer, limits, strict=True):
        _at_limit(panel, advice, limit, samplers)
    grid.set_ylim(len(samplers) - 0.5, -0.5)
    panels.upper.legend(handles=_legend(advice), loc="outside upper left", ncols=7)
    return Drawn(panels.figure, table(advice).assign(closer=lambda rows: rows["n"] == shown.n))


def _verdicts(panel: Axes, advice: Advice, samplers: list[str], sizes: list[int]) -> None:
    for cell in advice.cells:
        x, y = sizes.index(cell.n), samplers.index(cell.sampler)
        face = {"facecolor": FILLS[cell.verdict], "edgecolor": "#FFFFFF", "linewidth": 1.2}
        if cell.verdict == UNMEASURED:
            face |= {"hatch": "////", "edgecolor": style.PALE}
        panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, zorder=1, **face))
        _numbers(panel, x, y, cell, advice)
    marked = advice.advised or advice.nearest
    if marked:
        x, y = sizes.index(marked.n), samplers.index(marked.sampler)
        panel.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, zorder=4, clip_on=False, **_outline(advice)))
    panel.set_xlim(-0.5, len(sizes) - 0.5)
    panel.set_xticks(range(len(sizes)), list(map(str, sizes)))
    panel.set_yticks(range(len(samplers)), [short_label(name) for name in samplers])
    panel.grid(visible=False)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_xlabel("n")
    panel.set_title("Verdict\nand means")


def _numbers(panel: Axes, x: int, y: int, cell: Judged, advice: Advice) -> None:
    """Write one line per limit; a limit that is not kept is bold."""
    count = len(cell.estimates)
    for rank, (limit, found) in enumerate(cell.estimates.items()):
        broken = cell.verdicts[limit] == NO
        text = advice.metrics[limit].number(found.mean)
        panel.annotate(
            text,
            (x, y),
            (0, 72 * LINE * ((count - 1) / 2 - rank)),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=TEXT,
            color=style.BLACK if broken else INKS[cell.verdict],
            fontweight="bold" if broken else "normal",
            zorder=3,
        )


def _at_limit(panel: Axes, advice: Advice, limit: str, samplers: list[str]) -> None:
    """Draw every sampler's mean and interval at the shown n, and shade the far side of the limit."""
    at_most = advice.limits[limit]
    cells = [cell for cell in advice.cells if cell.n == advice.shown.n]
    ends = [at_most]
    for cell in cells:
        found, place, color = cell.estimates[limit], samplers.index(cell.sampler), style.hue(cell.sampler)
        alone = found.over == PROMPTS_ONLY
        ends += [found.mean, found.low, found.high]
        style.whiskers(panel, place, found.low, found.high, alone, color, across=True)
        look = {"markersize": 4.5, "markerfacecolor": "white" if alone else color, "zorder": 4}
        panel.plot(found.mean, place, style.marker(cell.sampler), color=color, **look)
    low, high = np.nanmin(ends), np.nanmax(ends)
    metric, margin = advice.metrics[limit], 0.08 * ((high - low) or 1.0)
    low = max(low, metric.scale[0]) if metric.scale else low  # an interval may reach beyond the scale
    panel.set_xlim(low - margin, high + margin)
    panel.axvspan(at_most, high + margin, color=MARKED, alpha=0.08, linewidth=0, zorder=0)
    panel.axvline(at_most, color=MARKED, linewidth=1.1, linestyle=(0, (4, 2)), zorder=2)
    if advice.advised:
        place = samplers.index(advice.advised.sampler)
        panel.axhspan(place - 0.5, place + 0.5, color=style.PALE, alpha=0.55, linewidth=0, zorder=0)
    panel.set_title(f"{NAMES[limit].capitalize()}\nlimit {metric.number(at_most)}")
    panel.set_xlabel(f"{metric.unit}, at n = {advice.shown.n}")
    panel.grid(visible=True, axis="x")
    panel.grid(visible=False, axis="y")
    panel.tick_params(axis="y", length=0)


def _legend(advice: Advice) -> list:
    there = [verdict for verdict in FILLS if verdict in {cell.verdict for cell in advice.cells}]
    hatch = {UNMEASURED: {"hatch": "////", "edgecolor": style.PALE}}
    said = {MEETS: "meets: interval within", LIKELY: "likely: mean within", NO: "no (bold: beyond its limit)"}
    handles = [
        Patch(
            facecolor=FILLS[name],
            label=said.get(name, name),
            **hatch.get(name, {"edgecolor": style.PALE, "linewidth": 0.6}),
        )
        for name in there
    ]
    if advice.advised or advice.nearest:
        handles.append(Patch(label="advised" if advice.advised else "nearest", **_outline(advice)))
    return [*handles, Line2D([], [], color=MARKED, linewidth=1.1, linestyle=(0, (4, 2)), label="limit")]


def _outline(advice: Advice) -> dict:
    """Return the outline of the advised cell, or a dashed one for the nearest if there is no advice."""
    dashes = "solid" if advice.advised else (0, (2, 1))
    return {"fill": False, "edgecolor": MARKED, "linewidth": 1.8, "linestyle": dashes}


def _small_print(advice: Advice, options: Options) -> list[str]:
    lines = ", ".join(NAMES[limit] for limit in advice.limits)
    return [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"n: safety examples added. In a cell, from above: mean {lines}.",
        "Bars: 95 % intervals, two-way bootstrap over runs and prompts; dotted with a hollow marker: one run, so over "
        "prompts only.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
