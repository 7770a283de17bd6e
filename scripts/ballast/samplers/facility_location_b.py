"""facility-location-b: T1 rows that together are as like all T1 rows as n of them can be."""

from ballast.picks.selection import Selection
from ballast.samplers import facility_location

NEEDS = ("behaviour", "embedding")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """As facility-location among T1 rows."""
    return facility_location.select(features.with_behaviour(pool, "T1"), features, n, seed, options)
