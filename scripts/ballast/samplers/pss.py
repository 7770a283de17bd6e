"""pss: Prototypical Safety Sampling, the rows nearest their category's centroid (paper section 3.2)."""

import numpy as np

from ballast.picks.nearest import best, mean_units
from ballast.picks.selection import Selection, by_category, rarest_first, round_robin

NEEDS = ("category", "embedding")
SEEDED = False
OPTIONS = {
    "multilabel": (
        ("first-taken", "primary-only"),
        "A row with several categories serves the first that takes it, or its first one.",
    ),
}
AMONG = {"centroid": (("all", "eligible"), "Centroid over all rows of the category, or over its rows to pick from.")}


def select(pool, features, n, seed, options) -> Selection:
    """Pick round robin over the categories, rarest first, each ranked by cosine to its centroid.

    The centroid is the mean embedding of the category's rows in the whole pool: section 3.2 defines it so, and section
    3.3 restricts the candidates alone. `centroid: eligible` takes the mean of the rows to pick from instead.
    """
    members = by_category(pool, features, options["multilabel"])
    centred = features.pool if options.get("centroid") == "all" else pool
    among = members if centred is pool else by_category(centred, features, options["multilabel"])
    centroids = mean_units(features.embedding, centred["id"], among)
    centroids /= np.maximum(np.linalg.norm(centroids, axis=1, keepdims=True), 1e-12)
    queues, sizes = best(features.embedding, pool["id"], centroids, n, members)
    return round_robin(queues, rarest_first(sizes), n)
