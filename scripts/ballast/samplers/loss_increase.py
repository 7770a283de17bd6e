"""loss-increase: the rows that fine-tuning on the task forgets most and pulls against most; no label is read.

Score: z(loss at the warmed-up point - loss under the model as it is) + z(conflict with the task's mean gradient), where
z standardises over the rows to pick from. Ballast's own: DualSelect's reference score (arXiv 2606.09866) with the
increase in the place of the loss, which prefers rows that the model never knew.
"""

from ballast.picks.gradients import conflicts, increases, standardised
from ballast.picks.selection import Selection, first, highest

NEEDS = ("gradients", "base-gradients", "logprobs")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """The n rows of the highest score; a row without a token to learn is never picked."""
    rows = features.gradients.learnt(pool["id"])
    increase = increases(features.gradients, rows, features.logprobs)
    conflict = conflicts(features.gradients, rows, features.base_gradients.mean())
    score = standardised(increase) + standardised(conflict)
    return first(highest(features.gradients.names(rows), score, n), n)
