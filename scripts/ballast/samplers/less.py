"""less: the rows whose gradient is most like that of safe refusals (LESS, Xia et al., arXiv 2402.04333).

LESS ranks a training row by the cosine of its gradient and the mean gradient of a validation set that shows what is
wanted. Here that set is the pool's T1 rows. What differs from the publication, whose setting is a pool of millions:
- one checkpoint, the warmed-up point, for its four that are summed with their learning rates;
- the row's gradient as it is, for the step that Adam would make of it;
- one validation task, for the maximum over several;
- the validation rows are rows of the pool, so each counts itself, as one among all of them.
"""

from ballast.picks.selection import Selection, first, highest

NEEDS = ("behaviour", "gradients")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """The n rows of the highest cosine; a row without a token to learn is never picked."""
    gradients = features.gradients
    wanted = gradients.mean(gradients.find(features.with_behaviour(features.pool, "T1")["id"]))
    rows = gradients.learnt(pool["id"])
    return first(highest(gradients.names(rows), gradients.cosines(rows, wanted), n), n)
