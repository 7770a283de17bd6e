"""Draw the size of the base data, beyond the paper: harm by n, a line per share of the base data."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.lines import Line2D

from ballast.names import NONE, in_order, short_label
from ballast.results import metrics, notes, paper_figures, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options
from ballast.tables.base_size import by_share, shares

EXPERIMENT = "base_size"
METRICS = ("harm",)
ONE = ("models", "pools")
MARKERS = "osD^vP"
ASIDE = 0.012  # of log10(n), from one share's interval to the next


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm by n: one panel per sampler, a line per share, and that share's level without safety data."""
    data = by_share(options, paths, "the figure of base sizes")
    compared = metrics.require_cells(data[data["sampler"] != NONE], paths, "the figure of base sizes")
    samplers, sizes = in_order(compared["sampler"]), shares(options)
    colors = dict(zip(sizes, mpl.colormaps[style.HEAT](np.linspace(0.35, 1, len(sizes))), strict=True))
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        "Bars: 95 % interval of the two-way bootstrap over runs and prompts.",
        "Dashed: the same share of the base data without safety data. Darker: more base data, at the same epochs.",
        *["Hollow markers: one run."] * bool((compared["trials"] == 1).any()),
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    canvas = style.canvas(len(samplers), 2.2, said, columns=3, sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, samplers, strict=True):
        for place, share in enumerate(sizes):
            cells, color = data[data["percent"] == share], colors[share]
            look = {"ends": paper_figures.TWO_WAY, "aside": ASIDE * (place - (len(sizes) - 1) / 2)}
            paper_figures.curve(panel, cells, sampler, color, "bars", MARKERS[place % len(MARKERS)], **look)
            for level in cells.loc[cells["sampler"] == NONE, "mean"]:
                panel.axhline(level, color=color, linewidth=0.9, linestyle=paper_figures.REFERENCE_LINES[NONE])
        panel.set_title(short_label(sampler))
        style.size_axis(panel, paper_figures.sizes(compared), canvas.columns)
    looks = [{"color": colors[share], "marker": MARKERS[place % len(MARKERS)]} for place, share in enumerate(sizes)]
    handles = [
        Line2D([], [], label=f"{share} % of the base data", **look) for share, look in zip(sizes, looks, strict=True)
    ]
    paper_figures.legend(canvas, compared, handles)
    paper_figures.axis_labels(canvas, metrics.metric("harm", options))
    return Drawn(canvas.figure, metrics.long_form(data, ["sampler", "n", "percent"]))
