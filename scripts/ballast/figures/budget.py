"""Draw the budget, beyond the paper: harm by n with two-way bands, one panel per sampler."""

from collections.abc import Sequence

from matplotlib.lines import Line2D

from ballast.names import RANDOM, REFERENCES, in_order, short_label
from ballast.results import metrics, notes, paper_figures, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm",)
ONE = ("models", "pools")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm by n with two-way bands: one panel per sampler, Random behind each."""
    cells = paper_figures.cells_of("harm", "the budget", options, paths)
    compared = cells[~cells["sampler"].isin(REFERENCES)]
    samplers = [name for name in in_order(compared["sampler"]) if name != RANDOM] or [RANDOM]
    alone = ["Dotted bars and hollow markers: one run, so the interval is over prompts only."]
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        "Bands: 95 % interval of the two-way bootstrap over runs and prompts.",
        *alone * bool((compared["trials"] == 1).any()),
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    canvas = style.canvas(len(samplers), 1.6, said, sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, samplers, strict=True):
        for name in dict.fromkeys((RANDOM, sampler)):
            look = {"marker": style.marker(name), "ends": paper_figures.TWO_WAY}
            paper_figures.curve(panel, compared, name, style.hue(name), "band", **look)
        paper_figures.references(panel, cells)
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, paper_figures.sizes(compared), canvas.columns)
    random = Line2D([], [], color=style.hue(RANDOM), marker=style.marker(RANDOM), label=short_label(RANDOM))
    paper_figures.legend(canvas, cells, [random] * (RANDOM in set(compared["sampler"])))
    paper_figures.axis_labels(canvas, metrics.metric("harm", options))
    return Drawn(canvas.figure, metrics.long_form(compared, ["sampler", "n"]))
