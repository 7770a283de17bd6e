"""t2: uniform among T2 rows, safe compliance with harmful requests (paper section 3.3, Figure 2)."""

from ballast.picks.selection import Selection
from ballast.samplers import random

NEEDS = ("behaviour",)
SEEDED = True


def select(pool, features, n, seed, options) -> Selection:
    """The first n T2 rows in the seed's random order."""
    return random.select(features.with_behaviour(pool, "T2"), features, n, seed, options)
