"""Figure 7: attack success rate by n, for a pool rewritten into refusals and for safe pairs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ballast.names import NONE, RANDOM, REFERENCES, REWRITING
from ballast.results import metrics, paper_figures, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "rewriting"
METRICS = ("asr",)
ONE = ("models",)
APART = 0.014  # share of the axis between two pools at one n, so that their bars do not lie on each other


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw attack success rate by n: random draws from a rewritten pool, and from the original safe pairs."""
    pools = options.experiment.pools
    cells = metrics.cells_of(of_first_pool(metrics.read_scores(paths), pools), "asr", options)
    cells = metrics.require_cells(cells[cells["sampler"].isin([RANDOM, *REFERENCES])], paths, "figure 7")
    labels = REWRITING if len(pools) == len(REWRITING) else pools
    looks = [(style.BLUE, "s"), (style.GREY, "o"), (style.ORANGE, "D"), (style.GREEN, "^")]
    canvas = style.canvas(1, 2.2, paper_figures.notes_below(options, cells, "Bars"))
    panel, sizes = canvas.panels[0], paper_figures.sizes(cells)
    step = APART * (np.log10(sizes[-1] / sizes[0]) or 1)
    for rank, (pool, label) in enumerate(zip(pools, labels, strict=True)):
        color, marker = looks[rank % len(looks)]
        drawn = cells[cells["pool"] == pool]
        if RANDOM in set(drawn["sampler"]):
            aside = step * (rank - (len(pools) - 1) / 2)
            paper_figures.curve(panel, drawn, RANDOM, color, "bars", marker=marker, label=label, aside=aside)
    handles = panel.get_legend_handles_labels()[0]
    paper_figures.references(panel, cells)
    style.size_axis(panel, sizes, canvas.columns)
    paper_figures.legend(canvas, cells, handles)
    paper_figures.axis_labels(canvas, metrics.metric("asr", options))
    return Drawn(canvas.figure, metrics.long_form(cells, ["pool", "sampler", "n"]))


def of_first_pool(scores: pd.DataFrame, pools: Sequence[str]) -> pd.DataFrame:
    """Return the scores with base data alone in the first of `pools`, if it was trained with another pool's runs.

    Base data alone is the same training for every pool.
    """
    alone = scores["sampler"] == NONE
    if scores.loc[alone, "pool"].isin(pools).any():
        return scores
    return scores.assign(pool=scores["pool"].astype(str).mask(alone, pools[0]))
