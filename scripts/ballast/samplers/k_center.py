"""k-center: farthest-point selection; each next row is the least similar to all picked rows (Gonzalez, 1985).

The greedy rule covers the pool within twice the smallest possible radius. Distance is 1 - cosine of embeddings; the
first row is the one nearest to the pool's mean direction, so nothing is drawn. Ties, to 6 digits, go by id.
It takes n passes over the pool's embeddings, in memory in float64: 15 MB for 2,483 rows of 768, 2 GB for 333,963.
"""

import numpy as np

from ballast.picks.selection import DIGITS, Selection, by_embedding

NEEDS = ("embedding",)
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """Return n rows in the order of picking."""
    return by_embedding(pool, features, n, _order)


def _order(units: np.ndarray, n: int) -> list[int]:
    picked: list[int] = []
    # Each row's cosine to its nearest picked row; rows are sorted by id, so the first of equals has the lowest id.
    nearest = np.full(len(units), -np.inf)
    likest = np.round(units @ units.mean(axis=0), DIGITS)
    for _ in range(n):
        row = int(np.round(nearest, DIGITS).argmin()) if picked else int(likest.argmax())
        picked.append(row)
        nearest = np.maximum(nearest, units @ units[row])
        nearest[picked] = np.inf
    return picked
