"""k-center-b: farthest-point selection among T1 rows."""

from ballast.picks.selection import Selection
from ballast.samplers import k_center

NEEDS = ("behaviour", "embedding")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """As k-center among T1 rows."""
    return k_center.select(features.with_behaviour(pool, "T1"), features, n, seed, options)
