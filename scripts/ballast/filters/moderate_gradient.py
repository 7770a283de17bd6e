"""moderate-gradient: keep the base rows whose gradient norm is nearest to the median (Bach et al., arXiv 2604.17215).

Continual Safety Alignment via Gradient-Based Sample Selection (Findings of ACL 2026): rows with a large gradient cost
most alignment, rows with a small one teach little. In each batch it drops the rows whose loss is more than a standard
deviation from the mean, and trains on a fifth of the batch: those others whose gradient norm is nearest to the median.
It reads no safety data.

Read in part: the abstract, and Algorithm 1 as a public repository quotes it (dev4-gpt/blissful-bose on GitHub); we did
not have the paper, and found no code of its authors. Ours differs: one choice for all base data, at the warmed-up
adapter, with norms in the adapter's weights; a loss is the mean per token, and the deviation that of the population. If
`keep` asks for more rows than pass the test of the loss, the others follow, the most usual loss first. Training on a
fifth of the rows takes a fifth of the steps: compare with the same share of rows dropped at random.
"""

import numpy as np
import pandas as pd

from ballast.filters.dualselect_static import LAST

NEEDS = ("base-gradients",)
SEEDED = False
SAFETY = False
OPTIONS = {
    "keep": (0.2, "Share of the base rows that is trained on."),
    "loss_deviations": (1.0, "Standard deviations from the mean loss within which a row's loss must lie."),
}


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Return minus the distance of each gradient norm to the median, by id; rows with an unusual loss come after."""
    gradients = features.base_gradients
    rows = gradients.learnt(base["id"])
    losses, norms = gradients.losses[rows], gradients.norms[rows]
    unusual = np.abs(losses - losses.mean()) - options["loss_deviations"] * losses.std()
    usual = unusual <= 0
    distances = np.abs(norms - np.median(norms[usual]))
    scores = np.where(usual, -distances, -distances[usual].max() - unusual)
    return pd.Series(scores, gradients.names(rows)).reindex(base["id"], fill_value=LAST)
