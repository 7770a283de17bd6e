"""random-b: uniform among T1 rows; beside sss-b it tells behaviour from category."""

from ballast.picks.selection import Selection
from ballast.samplers import random

NEEDS = ("behaviour",)
SEEDED = True


def select(pool, features, n, seed, options) -> Selection:
    """The first n T1 rows in the seed's random order."""
    return random.select(features.with_behaviour(pool, "T1"), features, n, seed, options)
