"""Figure 2: harm and helpfulness after fine-tuning with one behaviour."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ballast.names import BEHAVIOURS, REFERENCES, in_order, sampler_label
from ballast.results import metrics, paper_figures, style
from ballast.results.style import Drawn
from ballast.samplers import split
from ballast.study.artefacts import Options

EXPERIMENT = "behaviour"
METRICS = ("harm", "helpfulness")
ONE = ("models", "pools", "n")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm and helpfulness after fine-tuning with a single behaviour."""
    scores = metrics.read_scores(paths)
    runs = {name: metrics.measure(scores, name, options) for name in ("harm", "helpfulness")}
    cells = {name: metrics.cells_of(scores, name, options) for name in runs}
    every = pd.concat([table.assign(metric=name) for name, table in cells.items()])
    metrics.require_cells(every, paths[0], "figure 2")
    samplers = [name for name in in_order(options.experiment.samplers) if name not in REFERENCES]
    mark = f"{options.experiment.n[0]} safety examples of one behaviour; small dots are single runs. Bars"
    canvas = style.canvas(2, 2.4, paper_figures.notes_below(options, every, mark))
    for panel, name in zip(canvas.panels, cells, strict=True):
        for place, sampler in enumerate(samplers):
            _behaviour(panel, place, sampler, runs[name], cells[name])
        paper_figures.references(panel, cells[name])
        panel.set_xticks(range(len(samplers)), [_behaviour_label(sampler) for sampler in samplers])
        panel.set_xlim(-0.6, len(samplers) - 0.4)
        panel.set_title(f"{metrics.METRICS[name].label} ({metrics.METRICS[name].direction} is better)")
        panel.set_ylabel(metrics.metric(name, options).unit)
    paper_figures.legend(canvas, every, [])
    return Drawn(canvas.figure, metrics.long_form(every, ["metric", "sampler", "n"]))


def _behaviour(panel: Axes, place: int, sampler: str, runs: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Draw one behaviour's single runs, mean and interval."""
    values = runs.loc[runs["sampler"] == sampler, "value"]
    cell = cells[cells["sampler"] == sampler]
    color = style.BEHAVIOUR_HUES.get(split(sampler)[1], style.GREY)
    aside = place + 0.22 + np.linspace(-0.06, 0.06, len(values)) * (len(values) > 1)
    panel.plot(aside, values, ".", color=color, alpha=0.45, markersize=4, markeredgewidth=0)
    panel.errorbar(
        [place] * len(cell),
        cell["mean"],
        style.bars(cell),
        fmt="o",
        color=color,
        markersize=6,
        capsize=3,
        elinewidth=1.4,
    )


def _behaviour_label(sampler: str) -> str:
    return "\n".join([sampler_label(sampler), *BEHAVIOURS.get(split(sampler)[1], ())])
