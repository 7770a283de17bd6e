"""dualselect-static: drop first the base rows that are hard for the model and pull against the safety rows.

The task score of DualSelect (arXiv 2606.09866), once instead of in every batch: a row's loss minus the cosine between
its gradient and the safety rows' mean gradient, both at the warmed-up point; lower is better. The publication keeps
90 % of the learnt tokens; this filter keeps the same share of the rows.
"""

import pandas as pd

NEEDS = ("gradients", "base-gradients")
SEEDED = False
SAFETY = True
OPTIONS = {
    "keep": (0.9, "Share of the base rows that is trained on."),
    "task_loss_weight": (1.0, "Weight of a row's loss, mu."),
    "compatibility_weight": (1.0, "Weight of its cosine to the safety rows, nu."),
}
# The score of a row without a token to learn, which has neither a loss nor a gradient.
LAST = -1e6


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Return the compatibility with the safety rows minus the loss, by id."""
    gradients = features.base_gradients
    wanted = features.gradients.mean(features.gradients.find(safety["id"]))
    rows = gradients.learnt(base["id"])
    compatible = gradients.cosines(rows, wanted)
    scores = options["compatibility_weight"] * compatible - options["task_loss_weight"] * gradients.losses[rows]
    return pd.Series(scores, gradients.names(rows)).reindex(base["id"], fill_value=LAST)
