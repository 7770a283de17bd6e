"""Figure 7: attack success rate by n, for a pool rewritten into refusals and for safe pairs."""

from collections.abc import Sequence

from ballast.names import RANDOM, REFERENCES, REWRITING
from ballast.results import metrics, paper_figures, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "rewriting"
METRICS = ("asr",)
ONE = ("models",)


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw attack success rate by n: random draws from a rewritten pool, and from the original safe pairs."""
    cells = paper_figures.cells_of("asr", 7, options, paths[0])
    cells = cells[cells["sampler"].isin([RANDOM, *REFERENCES])]
    metrics.require_cells(cells, paths[0], "figure 7")
    pools = options.experiment.pools
    labels = REWRITING if len(pools) == len(REWRITING) else pools
    looks = [(style.BLUE, "s"), (style.GREY, "o"), (style.ORANGE, "D"), (style.GREEN, "^")]
    canvas = style.canvas(1, 2.2, paper_figures.notes_below(options, cells, "Bars"))
    panel = canvas.panels[0]
    for rank, (pool, label) in enumerate(zip(pools, labels, strict=True)):
        color, marker = looks[rank % len(looks)]
        drawn = cells[cells["pool"] == pool]
        if RANDOM in set(drawn["sampler"]):
            paper_figures.curve(panel, drawn, RANDOM, color, "bars", marker=marker, label=label)
    handles = panel.get_legend_handles_labels()[0]
    paper_figures.references(panel, cells)
    style.size_axis(panel, paper_figures.sizes(cells), canvas.columns)
    paper_figures.legend(canvas, cells, handles)
    paper_figures.axis_labels(canvas, metrics.metric("asr", options))
    return Drawn(canvas.figure, metrics.long_form(cells, ["pool", "sampler", "n"]))
