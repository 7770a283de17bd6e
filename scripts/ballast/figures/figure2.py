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
    every = metrics.require_cells(every, paths, "figure 2")
    samplers = [name for name in in_order(every["sampler"]) if name not in REFERENCES]
    cells = {name: table for name, table in cells.items() if table["sampler"].isin(samplers).any()}
    mark = f"{options.experiment.n[0]} safety examples of one behaviour; small dots are single runs. Bars"
    said = [*paper_figures.notes_below(options, every, mark, cells), *paper_figures.span_notes(cells, options)]
    canvas = style.canvas(len(cells), 2.4, said)
    for panel, name in zip(canvas.panels, cells, strict=True):
        for place, sampler in enumerate(samplers):
            _behaviour(panel, place, sampler, runs[name], cells[name])
        paper_figures.references(panel, cells[name])
        panel.set_xticks(range(len(samplers)), [_behaviour_label(sampler) for sampler in samplers])
        panel.set_xlim(-0.6, len(samplers) - 0.4)
        panel.set_title(f"{metrics.METRICS[name].label} ({metrics.METRICS[name].direction} is better)")
        panel.set_ylabel(metrics.metric(name, options).unit)
        panel.set_ylim(paper_figures.held(panel.get_ylim(), scores, name, options))
    paper_figures.legend(canvas, every, [])
    return Drawn(canvas.figure, metrics.long_form(every, ["metric", "sampler", "n"]))


def _behaviour(panel: Axes, place: int, sampler: str, runs: pd.DataFrame, cells: pd.DataFrame) -> None:
    """Draw one behaviour's single runs, mean and interval."""
    values = runs.loc[runs["sampler"] == sampler, "value"]
    cell = cells[cells["sampler"] == sampler]
    color = style.BEHAVIOUR_HUES.get(split(sampler)[1], style.GREY)
    aside = place + 0.22 + np.linspace(-0.06, 0.06, len(values)) * (len(values) > 1)
    panel.plot(aside, values, ".", color=color, alpha=0.45, markersize=4, markeredgewidth=0)
    alone = (cell["trials"] == 1).to_numpy()
    style.whiskers(panel, [place] * len(cell), cell["low_t"], cell["high_t"], alone, color)
    face = "white" if alone.any() else color
    panel.plot([place] * len(cell), cell["mean"], "o", color=color, markerfacecolor=face, markersize=4.5)


def _behaviour_label(sampler: str) -> str:
    return "\n".join([sampler_label(sampler), *BEHAVIOURS.get(split(sampler)[1], ())])
