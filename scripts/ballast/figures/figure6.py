"""Figure 6: over-refusal by n, Random and the samplers of refusals."""

from collections.abc import Sequence

from matplotlib.lines import Line2D

from ballast.names import RANDOM, REFERENCES, short_label
from ballast.results import metrics, paper_figures, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("over_refusal",)
ONE = ("models", "pools")
SAMPLERS = (RANDOM, "pss-b", "sss-b", "cossim-b")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw over-refusal by n: Random and the samplers of refusals, one panel each; the others are pale in it.

    A study that has none of these shows its own samplers.
    """
    cells = paper_figures.cells_of("over_refusal", "figure 6", options, paths)
    there = set(cells["sampler"])
    methods = [name for name in SAMPLERS if name in there]
    methods = methods or [name for name in options.experiment.samplers if name in there and name not in REFERENCES]
    cells = cells[cells["sampler"].isin([*methods, *REFERENCES])]
    metrics.require_cells(cells, paths[0], "figure 6")
    canvas = style.canvas(
        len(methods), 1.9, paper_figures.notes_below(options, cells, "Bands"), sharex=True, sharey=True
    )
    for panel, sampler in zip(canvas.panels, methods, strict=True):
        for other in methods:
            if other != sampler:
                place, table = paper_figures.line(cells, other)
                panel.plot(place, table["mean"], color=style.PALE, linewidth=1, zorder=1)
        paper_figures.curve(panel, cells, sampler, style.hue(sampler), "band", marker=style.marker(sampler))
        paper_figures.references(panel, cells)
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, paper_figures.sizes(cells), canvas.columns)
    paper_figures.legend(canvas, cells, [Line2D([], [], color=style.PALE, linewidth=1, label="the other samplers")])
    paper_figures.axis_labels(canvas, metrics.metric("over_refusal", options))
    return Drawn(canvas.figure, metrics.long_form(cells, ["sampler", "n"]))
