"""loss-increase: the rows that fine-tuning on the task forgets most and pulls against most; no label is read.

Score: z(loss at the warmed-up point - loss under the original model) + z(conflict with the task's mean gradient); z
standardises over the rows to pick from. It is Ballast's own: DualSelect's reference score (arXiv 2606.09866) with the
loss increase instead of the loss, because the loss prefers rows that the model never knew.
"""

from ballast.picks.gradients import conflicts, increases, standardised
from ballast.picks.selection import Selection, first, highest

NEEDS = ("gradients", "base-gradients", "logprobs")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """Pick the n rows with the highest scores, never a row without a token to learn."""
    rows = features.gradients.learnt(pool["id"])
    increase = increases(features.gradients, rows, features.logprobs)
    conflict = conflicts(features.gradients, rows, features.base_gradients.mean())
    score = standardised(increase) + standardised(conflict)
    return first(highest(features.gradients.names(rows), score, n), n)
