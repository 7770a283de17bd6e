"""cossim: the rows most like a harm category's reference pairs (paper section 4.3, after Safe-Embed).

s(c_j, d) is the mean cosine of d to the references B_j, equal to the dot product with the mean of their unit vectors.
Each row is assigned to its best category; the categories' best rows are taken in turn.
"""

from ballast.picks.nearest import best
from ballast.picks.selection import Selection, rarest_first, round_robin

NEEDS = ("embedding", "references")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """Pick round robin over the assigned categories, rarest first, each ranked by mean cosine."""
    queues, sizes = best(features.embedding, pool["id"], features.references, n)
    return round_robin(queues, rarest_first(sizes), n)
