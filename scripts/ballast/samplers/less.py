"""less: the rows whose gradients are most similar to those of safe refusals (LESS, Xia et al., arXiv 2402.04333).

LESS ranks a training row by the cosine of its gradient and the mean gradient of a validation set of the wanted
behaviour. Here that set is the pool's T1 rows. Differences from the publication, which picks from millions of rows:
- one checkpoint, the warmed-up point, instead of a sum over four, weighted by learning rate;
- the row's plain gradient instead of its Adam step;
- one validation task instead of the maximum over several;
- the validation rows are rows of the pool, so each also counts itself, as one of all.
"""

from ballast.picks.selection import Selection, first, highest

NEEDS = ("behaviour", "gradients")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """Pick the n rows with the highest cosines, never a row without a token to learn."""
    gradients = features.gradients
    wanted = gradients.mean(gradients.find(features.with_behaviour(features.pool, "T1")["id"]))
    rows = gradients.learnt(pool["id"])
    return first(highest(gradients.names(rows), gradients.cosines(rows, wanted), n), n)
