"""dualselect-static: the references that DualSelect would preserve, picked once (arXiv 2606.09866).

DualSelect scores a reference by its loss plus its conflict with the task's direction, at every refresh. Here both are
taken once, at the warmed-up point, and the task's direction is the mean gradient of the base data there.
"""

import numpy as np

from ballast.picks.gradients import conflicts
from ballast.picks.selection import Selection, first, gumbel, highest

NEEDS = ("gradients", "base-gradients")
SEEDED = True
OPTIONS = {
    "loss_weight": (1.0, "Weight of a reference's loss, mu."),
    "conflict_weight": (1.0, "Weight of its conflict with the task, nu."),
    "temperature": (0.0, "0 takes the highest scores; above it draws by softmax(score / temperature)."),
}


def select(pool, features, n, seed, options) -> Selection:
    """The n rows of the highest score, or n drawn without replacement by its softmax; the seed matters to a draw alone.

    A row without a token to learn is never picked.
    """
    rows = features.gradients.learnt(pool["id"])
    ids = features.gradients.names(rows)
    conflict = conflicts(features.gradients, rows, features.base_gradients.mean())
    score = options["loss_weight"] * features.gradients.losses[rows] + options["conflict_weight"] * conflict
    if options["temperature"] > 0:
        score = np.round(score, 6) / options["temperature"] + gumbel(ids, seed)
    return first(highest(ids, score, n), n)
