"""Set the look of figures: colours for colour-blind readers, the same per sampler in every figure; stable bytes."""

import textwrap
import zlib
from collections.abc import Sequence
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
RED = "#CC3311"  # the area below Random; Tol's red differs from the hues of the lines
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
NOTE_CHARACTERS = 150  # fit on a line of WIDTH
LABEL_ROOM = 0.27  # inches between the labels of an axis

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
    columns = min(count, columns)
    grid_rows = -(-count // columns)
    lines = textwrap.wrap(" ".join(small_print).replace("`", ""), NOTE_CHARACTERS, break_on_hyphens=False)
    above, below = grid_rows * height + 0.5, len(lines) * NOTE_LINE + 0.1
    figure = Figure(figsize=(WIDTH, above + below), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subfigures(2, 1, height_ratios=[above, below])
    lower.text(0.008, 0.5, "\n".join(lines), fontsize=NOTE_SIZE, color=GREY, va="center", linespacing=1.3)
    places = list(upper.subplots(grid_rows, columns, squeeze=False, **shared).flat)
    for spare in places[count:]:
        spare.axis("off")
    for lowest in places[max(count - columns, 0) : count]:
        lowest.tick_params(labelbottom=True)  # shared axes would label the grid's last row alone
    return Canvas(figure, upper, places[:count], columns)


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
    axis.margins(x=0.05, y=0.07)
    low, high = axis.get_ylim()
    left, right = axis.get_xlim()
    axis.set_ylim(low, high)
    axis.set_xlim(left, right + 0.3 * (right - left))
    height = low
    for x, y, name, color in sorted(points, key=lambda point: (point[1], -point[0])):
        height = max(y, height + 0.055 * (high - low))
        line = {"arrowstyle": "-", "color": color, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 4}
        place = (right + 0.06 * (right - left), height)
        axis.annotate(name, (x, y), place, va="center", fontsize=7, color=color, arrowprops=line)


def label_line(axis: Axes, start: tuple[float, float], name: str, color: str) -> None:
    """Write the name of a line above its left end."""
    axis.annotate(name, start, (2, 5), textcoords="offset points", ha="left", fontsize=7, color=color)


def size_axis(axis: Axes, sizes: Sequence[int], columns: int) -> None:
    """Label log10(n) with n itself; a label that would touch its neighbour is left out, its tick stays.

    Positions are log10 of n on a linear axis, so that straight lines and the areas between them agree. `columns`
    panels share the width.
    """
    sizes = sorted(set(sizes))
    places = np.log10(sizes)
    span = places[-1] - places[0]
    margin = 0.07 * span if span else 0.5
    axis.set_xlim(places[0] - margin, places[-1] + margin)
    needed = LABEL_ROOM / (WIDTH / columns - 0.3) * span
    labels, last = [], -np.inf
    for place, size in zip(places, sizes, strict=True):
        fits = place - last >= needed and (size == sizes[-1] or places[-1] - place >= needed)
        labels.append(str(size) if fits else "")
        last = place if fits else last
    axis.set_xticks(places, labels)


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


def bars(cells: pd.DataFrame) -> np.ndarray:
    """Return the lengths of error bars below and above the means of cells; 0 without an interval."""
    return cells[["low_t", "high_t"]].sub(cells["mean"], axis=0).abs().fillna(0).to_numpy().T
