"""Draw the budget, beyond the paper: harm by n with two-way bands, one panel per sampler."""

from collections.abc import Sequence

import numpy as np

from ballast.names import RANDOM, REFERENCES, in_order, short_label
from ballast.results import metrics, notes, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm",)
ONE = ("models", "pools")
TWO_WAY = "95 % interval of the two-way bootstrap over runs and prompts"


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm by n with two-way bands: one panel per sampler, Random behind each."""
    cells = metrics.cells_of(metrics.read_scores(paths), "harm", options)
    cells = metrics.require_cells(cells, paths[0], "the budget")
    compared = cells[~cells["sampler"].isin(REFERENCES)]
    samplers = [name for name in in_order(compared["sampler"]) if name != RANDOM] or [RANDOM]
    alone = bool((compared["two_way_over"] == metrics.statistics.PROMPTS_ONLY).any())
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"Bands: {TWO_WAY}{', over prompts only where a sampler has one run' if alone else ''}. Grey: Random.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    canvas = style.canvas(len(samplers), 1.6, said, sharex=True, sharey=True)
    for panel, sampler in zip(canvas.panels, samplers, strict=True):
        for name in dict.fromkeys((RANDOM, sampler)):
            rows = compared[compared["sampler"] == name].sort_values("n")
            place, color = np.log10(rows["n"].to_numpy(float)), style.hue(name)
            panel.fill_between(place, rows["low_two_way"], rows["high_two_way"], color=color, alpha=0.2, linewidth=0)
            panel.plot(place, rows["mean"], color=color, marker=style.marker(name))
        panel.set_title(short_label(sampler), color=style.hue(sampler))
        style.size_axis(panel, sorted(set(compared["n"])), canvas.columns)
    random = compared[compared["sampler"] == RANDOM].sort_values("n")
    if not random.empty:
        start = (np.log10(random["n"].iloc[0]), random["mean"].iloc[0])
        style.label_line(canvas.panels[-1], start, short_label(RANDOM), style.hue(RANDOM))
    canvas.upper.supxlabel("n, safety examples added", fontsize=8, color=style.INK)
    canvas.upper.supylabel(metrics.metric("harm", options).axis_label, fontsize=8, color=style.INK)
    return Drawn(canvas.figure, metrics.long_form(compared, ["sampler", "n"]))
