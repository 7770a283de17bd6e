"""facility-location: rows that together are as like the whole pool as n rows can be (Mirzasoleiman et al., 2020; Wei et
al., 2015, for data selection).

The objective is the sum, over the pool's rows, of the cosine to the nearest picked row. It is submodular, so taking the
row of the largest gain each time comes within 1 - 1/e of the best. Gains only fall, so an old gain bounds a new one and
few are looked at again (Minoux, 1978). Ties, to 6 digits, go by id; nothing is drawn.
A gain costs one pass over the pool's embeddings, which are in memory in float64: 15 MB for 2,483 rows of 768, 2 GB for
333,963. The matrix of all cosines, 8 bytes a pair, is never made.
"""

import heapq

import numpy as np

from ballast.picks.selection import DIGITS, Selection, by_embedding

NEEDS = ("embedding",)
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """The n rows in the order in which they are picked."""
    return by_embedding(pool, features, n, _order)


def _order(units: np.ndarray, n: int) -> list[int]:
    covered = np.full(len(units), -1.0)  # the lowest cosine there is: nobody is served yet
    gains = np.round(units @ units.sum(axis=0) + len(units), DIGITS)
    # Highest gain first; rows stand by id, so equal gains come by id.
    waiting = [(-gain, row) for row, gain in enumerate(gains.tolist())]
    heapq.heapify(waiting)
    picked: list[int] = []
    while len(picked) < n:
        _, row = heapq.heappop(waiting)
        served = np.maximum(covered, units @ units[row])
        fresh = (-round(float((served - covered).sum()), DIGITS), row)
        if waiting and fresh > waiting[0]:
            heapq.heappush(waiting, fresh)
        else:
            picked.append(row)
            covered = served
    return picked
