"""dsir-b: T1 rows drawn by how much likelier their words are in the base data than among T1 rows."""

from ballast.picks.selection import Selection
from ballast.samplers import dsir

NEEDS = ("behaviour", "texts", "base-texts")
SEEDED = True


def select(pool, features, n, seed, options) -> Selection:
    """As dsir among T1 rows; to them, T1 is no target."""
    return dsir.select(features.with_behaviour(pool, "T1"), features, n, seed, options | {"target": "base"})
