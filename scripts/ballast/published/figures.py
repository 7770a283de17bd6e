"""Draw the figures whose numbers the paper prints: Figure 3 from Table 1, and Figure 4 from Table 2."""

import pandas as pd
from matplotlib.figure import Figure

from ballast import plugins
from ballast.names import RANDOM, REFERENCES
from ballast.published import MODELS, TEXT, TRIALS
from ballast.results import paper_figures, style
from ballast.results.metrics import METRICS

TABLES = {"figure3": "1", "figure4": "2"}  # the paper prints no numbers of Figures 2, 5, 6 and 7


def draw(name: str, printed: pd.DataFrame) -> Figure:
    """Return a figure of TABLES as the study's own is drawn, from the cells of `tables.read`."""
    module = plugins.load("figures", name)
    (metric,) = module.METRICS
    cells = printed[printed["table"].isin([TABLES[name], TEXT]) & (printed["metric"] == metric)]
    cells = cells[(cells["model"] == MODELS[0])]
    cells = cells[cells["sampler"].isin([RANDOM, *REFERENCES]) | cells["sampler"].map(module.shown)]
    cells = cells.assign(
        low_t=cells["mean"] - cells["pm"],
        high_t=cells["mean"] + cells["pm"],
        trials=(TRIALS * cells["pm"].notna()).clip(lower=1),
    )
    said = [
        f"The paper's printed Table {TABLES[name]} (arXiv 2510.21885), Llama 2 7B. No safety data: its section 5, for "
        "attack success an estimate.",
        "Bars and the grey band: the printed ±, whose meaning the paper does not define; hollow markers: one run.",
    ]
    with style.styled():
        return paper_figures.panels_against_random(cells, METRICS[metric], said)
