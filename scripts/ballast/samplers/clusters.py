"""clusters: the same number from every cluster of the embeddings, without labels: sss with k-means for categories.

Spherical k-means (Dhillon and Modha, 2001) of the pool's rows. The seed draws the first centres, by k-means++ (Arthur
and Vassilvitskii, 2007), and the rows within each cluster. A cluster with fewer rows than its share gives all that it
has. The pool's embeddings are in memory in float64: 15 MB for 2,483 rows of 768, 2 GB for 333,963.
"""

import numpy as np

from ballast.files import BallastError
from ballast.picks.selection import DIGITS, Selection, draw_each, random_order, round_robin

NEEDS = ("embedding",)
SEEDED = True
OPTIONS = {"clusters": (14, "Number of clusters; the paper has 14 categories.")}
PASSES = 100


def select(pool, features, n, seed, options) -> Selection:
    """Pick round robin over the clusters; the seed orders both the clusters and the rows within each."""
    ids, count = sorted(pool["id"]), min(options["clusters"], len(pool))
    if count < 1:
        raise BallastError(f"the sampler clusters needs at least one cluster and one row, not {count}")
    units = features.embedding.units(features.embedding.find(ids))
    members = np.eye(count, dtype=bool)[assigned(units, count, seed)]
    queues = draw_each(ids, members, n, seed)
    order = [int(cluster) for cluster in random_order(map(str, queues), seed)]
    return Selection(round_robin(queues, order, n).ids, [None] * n)


def assigned(units: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Return each row's cluster, given unit embeddings by id; ties, to 6 digits, go to the first centre."""
    centres, cluster = _first_centres(units, count, np.random.default_rng(seed)), np.full(len(units), -1)
    for _ in range(PASSES):
        nearest = np.round(units @ centres.T, DIGITS).argmax(axis=1)
        if (nearest == cluster).all():
            break
        cluster = nearest
        # An empty cluster keeps its centre.
        for each in np.unique(cluster):
            mean = units[cluster == each].mean(axis=0)
            centres[each] = mean / max(np.linalg.norm(mean), 1e-12)
    return cluster


def _first_centres(units: np.ndarray, count: int, draws: np.random.Generator) -> np.ndarray:
    """Return rows as centres: each is drawn by its squared distance, 2 - 2 cos, to the nearest centre so far."""
    picked = [int(draws.integers(len(units)))]
    while len(picked) < count:
        distance = np.round(2 - 2 * (units @ units[picked].T).max(axis=1), DIGITS).clip(min=0)
        distance[picked] = 0
        weights = distance if distance.any() else np.isin(np.arange(len(units)), picked, invert=True).astype(float)
        picked.append(int(draws.choice(len(units), p=weights / weights.sum())))
    return units[picked].copy()
