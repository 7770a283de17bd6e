"""dualselect-static: base rows that the model finds hard and that pull against the safety rows go first.

The task score of DualSelect (arXiv 2606.09866), once instead of in every batch: a row's loss less the cosine of its
gradient and the safety rows' mean gradient, lower is better, both at the warmed-up point. The publication keeps 90 % of
the tokens that are learnt; here the same share of the rows is kept.
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
# The score of a row that teaches nothing: without a token to learn it has neither a loss nor a gradient.
LAST = -1e6


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Compatibility with the safety rows less the loss, by id."""
    gradients = features.base_gradients
    wanted = features.gradients.mean(features.gradients.find(safety["id"]))
    rows = gradients.learnt(base["id"])
    compatible = gradients.cosines(rows, wanted)
    scores = options["compatibility_weight"] * compatible - options["task_loss_weight"] * gradients.losses[rows]
    return pd.Series(scores, gradients.names(rows)).reindex(base["id"], fill_value=LAST)
