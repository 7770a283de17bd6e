"""dualselect-static: the references that DualSelect would preserve, picked once (arXiv 2606.09866).

DualSelect scores a reference by its loss plus its conflict with the task's direction, at every refresh. This sampler
computes both once, at the warmed-up point, with the mean gradient of the base data there as the task's direction.
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
    """Pick the n rows with the highest scores, or draw n by softmax without replacement; only a draw uses the seed.

    A row without a token to learn is never picked.
    """
    rows = features.gradients.learnt(pool["id"])
    ids = features.gradients.names(rows)
    conflict = conflicts(features.gradients, rows, features.base_gradients.mean())
    score = options["loss_weight"] * features.gradients.losses[rows] + options["conflict_weight"] * conflict
    if options["temperature"] > 0:
        score = np.round(score, 6) / options["temperature"] + gumbel(ids, seed)
    return first(highest(ids, score, n), n)
