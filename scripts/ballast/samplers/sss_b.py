"""sss-b: SSS-Behavioral, the same number of T1 rows from every category (paper section 3.3)."""

from ballast.picks.selection import Selection
from ballast.samplers import sss

NEEDS = ("behaviour", "category")
SEEDED = True


def select(pool, features, n, seed, options) -> Selection:
    """Round robin over the categories of T1 rows."""
    return sss.select(features.with_behaviour(pool, "T1"), features, n, seed, options)
