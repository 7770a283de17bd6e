"""pss: Prototypical Safety Sampling, the rows nearest their category's centroid (paper section 3.2)."""

import numpy as np

from ballast.picks.nearest import best, mean_units
from ballast.picks.selection import Selection, by_category, rarest_first, round_robin

NEEDS = ("category", "embedding")
SEEDED = False


def select(pool, features, n, seed, options, centroid_pool=None) -> Selection:
    """Round robin over the categories, rarest first, each ranked by cosine to its centroid.

    The centroid is the mean embedding of the category's rows in `centroid_pool` (the pool itself by default).
    """
    members = by_category(pool, features, options["multilabel"])
    among = members if centroid_pool is None else by_category(centroid_pool, features, options["multilabel"])
    ids = (pool if centroid_pool is None else centroid_pool)["id"]
    centroids = mean_units(features.embedding, ids, among)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    queues, sizes = best(features.embedding, pool["id"], centroids, n, members)
    return round_robin(queues, rarest_first(sizes), n)
