"""Set the look of figures: colours for colour-blind readers, the same per sampler in every figure; stable bytes."""

import textwrap
import zlib
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from ballast.files import atomic
from ballast.names import RANDOM
from ballast.samplers import split

# Okabe & Ito (2008).
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
RED = "#CC3311"  # Tol's red differs from the hues of the lines
PALE_RED = "#F4D2CB"  # the area below Random; not transparent, so that it has the legend's colour over a grey band too
GREY, PALE, INK = "#707070", "#D9D9D9", "#222222"

# A sampler and its behavioural variant share a hue and differ in marker.
HUES = {"random": GREY, "random-b": PURPLE, "cossim": ORANGE, "sss": BLUE, "pss": GREEN, "none": BLACK, "as-is": BLACK}
SPARE = (PURPLE, SKY, "#8C6D1F", "#5D3A9B")
# Blue for harmful instructions and orange for safe ones; the darker of each for refusals.
BEHAVIOUR_HUES = {"T1": BLUE, "T2": SKY, "T3": VERMILLION, "T4": ORANGE, "unknown": PALE}

HEAT = "YlOrBr"  # one hue, from pale to dark, so that its order shows without colour

WIDTH = 6.8  # inches: two columns
NOTE_SIZE = 6.0  # points
NOTE_LINE = 0.115  # inches
NOTE_CHARACTERS = 140  # fit on a line of WIDTH
LABEL_ROOM = 0.24  # inches from label to label of an axis
LABEL_LINE = 8.5  # points from one line of labels to the next
DOTTED = (0, (1, 1.5))

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#ECECEC",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 2.5,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "lines.linewidth": 1.4,
    "lines.markersize": 3.8,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",  # keeps text as text, which a page can search and read aloud
    "svg.hashsalt": "ballast",
    "hatch.linewidth": 0.5,
    "savefig.dpi": 300,
}
# None leaves out dates and versions, which would change the bytes.
METADATA = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "svg": {"Date": None, "Creator": None},
    "png": {"Software": None},
}


class Drawn(NamedTuple):
    """A figure, and the numbers in it."""

    figure: Figure
    data: pd.DataFrame


def styled():
    """Return the context in which figures are made and saved."""
    return rc_context(RC)


class Canvas(NamedTuple):
    """A figure, its upper part with a grid of panels, and its small print below."""

    figure: Figure
    upper: SubFigure
    panels: list[Axes]
    columns: int


def canvas(count: int, height: float, small_print: Sequence[str], columns: int = 4, **shared: bool) -> Canvas:
    """Return a canvas of `count` panels, each `height` inches high; `shared`: sharex, sharey of the panels."""
    grid_rows = -(-count // columns)
    columns = -(-count // grid_rows)  # rows of equal length, if they can be
    lines = textwrap.wrap(" ".join(small_print).replace("`", ""), NOTE_CHARACTERS, break_on_hyphens=False)
    above, below = grid_rows * height + 0.5, len(lines) * NOTE_LINE + 0.1
    # At the dpi of the PNG: at another one, text has another width and the layout would cut it.
    figure = Figure(figsize=(WIDTH, above + below), dpi=RC["savefig.dpi"], layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subfigures(2, 1, height_ratios=[above, below])
    lower.text(0.008, 0.5, "\n".join(lines), fontsize=NOTE_SIZE, color=GREY, va="center", linespacing=1.3)
    places = list(upper.subplots(grid_rows, columns, squeeze=False, **shared).flat)
    for spare in places[count:]:
        spare.remove()
    for panel in places[:count]:
        panel.tick_params(labelbottom=True)  # shared axes would label the grid's last row alone
    return Canvas(figure, upper, places[:count], columns)


def sentence(text: str, small_print: Sequence[str]) -> Figure:
    """Return a figure of one line of text, for a study that has nothing to draw."""
    drawn = canvas(1, 0.1, small_print)
    drawn.panels[0].remove()
    drawn.upper.text(0.008, 0.5, text, fontsize=8, color=INK, va="center")
    return drawn.figure


def hue(sampler: str) -> str:
    """Return the sampler's colour, the same in every figure; a sampler without a fixed colour gets one by its name."""
    family, _ = split(sampler)
    # Random among one behaviour is a baseline of its own.
    family = sampler if family == RANDOM else family
    return HUES.get(family) or SPARE[zlib.crc32(family.encode()) % len(SPARE)]


def marker(sampler: str) -> str:
    return "s" if split(sampler)[1] else "o"


def frame(column: int, row: int) -> Rectangle:
    """Return a frame around a square of a heat map."""
    return Rectangle((column - 0.46, row - 0.44), 0.92, 0.88, fill=False, edgecolor=BLACK, linewidth=1.3)


def label_points(axis: Axes, points: Sequence[tuple[float, float, str, str]]) -> None:
    """Write the names of points (x, y, name, colour) in a spaced column at the right, each with a line to its point."""
    low, high = axis.get_ylim()
    left, right = axis.get_xlim()
    axis.set_xlim(left, right + 0.3 * (right - left))
    height = low
    for x, y, name, color in sorted(points, key=lambda point: (point[1], -point[0])):
        height = max(y, height + 0.055 * (high - low))
        line = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 4}
        place = (right + 0.06 * (right - left), height)
        axis.annotate(name, (x, y), place, va="center", fontsize=7, color=color, arrowprops=line)


def whiskers(axis: Axes, place, low, high, alone, color: str, across: bool = False) -> None:
    """Draw intervals from `low` to `high`; those of one run (`alone`) are thin, dotted and without caps.

    A missing end draws nothing. `across`: horizontal bars, with `place` on the vertical axis.
    """
    place, low, high, alone = np.broadcast_arrays(*np.atleast_1d(place, low, high, alone))
    for lonely, look in ((False, {"elinewidth": 0.9, "capsize": 2.2}), (True, {"elinewidth": 0.7})):
        shown = (alone == lonely) & np.isfinite(low) & np.isfinite(high)
        if not shown.any():
            continue
        middle, half = (low + high)[shown] / 2, (high - low)[shown] / 2
        at, error = ((middle, place[shown]), "xerr") if across else ((place[shown], middle), "yerr")
        bars = axis.errorbar(*at, **{error: half}, fmt="none", ecolor=color, zorder=3, **look)
        if lonely:
            bars.lines[2][0].set_linestyle(DOTTED)


def hold_scale(limits: tuple[float, float], scale: tuple[float, float] | None, least: float) -> tuple[float, float]:
    """Return the limits of a metric's axis: from the low end of its scale, or at least `least` long without a scale.

    So noise does not fill the axis. An interval may reach beyond a scale; the axis does not.
    """
    low, high = limits
    if scale is None:
        missing = max(least - (high - low), 0) / 2
        return low - missing, high + missing
    margin = 0.03 * (high - scale[0])
    return scale[0] - margin, min(high, scale[1] + margin)


def size_axis(axis: Axes, sizes: Sequence[int], columns: int) -> None:
    """Label log10(n) with n itself; a label that would touch its neighbour stands a line lower, with a longer tick.

    Positions are log10 of n on a linear axis, so that straight lines and the areas between them agree. `columns`
    panels share the width.
    """
    sizes = sorted(set(sizes))
    places = np.log10(sizes)
    span = places[-1] - places[0]
    margin = 0.07 * span if span else 0.5
    axis.set_xlim(places[0] - margin, places[-1] + margin)
    needed = LABEL_ROOM / (WIDTH / columns - 0.3) * span
    lines: list[int] = []
    ends: dict[int, float] = {}  # of each line, the place of its last label
    for place in places:
        lines.append(next(line for line in count() if place - ends.get(line, -np.inf) >= needed))
        ends[lines[-1]] = place
    axis.set_xticks(places, ["\n" * line + str(size) for line, size in zip(lines, sizes, strict=True)])
    for tick, line in zip(axis.xaxis.get_major_ticks(), lines, strict=True):
        tick.tick1line.set_markersize(RC["xtick.major.size"] + LABEL_LINE * line)


def fix_layout(figure: Figure) -> None:
    """Lay the figure out once and round the positions of its panels: the solver's last digits vary between runs."""
    if not isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        return
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.get_axes():
        axes.set_position(np.round(axes.get_position().bounds, 9))


def save(figure: Figure, path: str | Path, kind: str) -> None:
    """Write the figure as `kind` (pdf, svg or png); the same figure has the same bytes."""
    with atomic(path) as temporary, styled():
        fix_layout(figure)
        figure.savefig(temporary, format=kind, metadata=METADATA[kind])
