"""cossim-b: Cossim among T1 rows (paper section 4.3)."""

from ballast.picks.selection import Selection
from ballast.samplers import cossim

NEEDS = ("behaviour", "embedding", "references")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """As cossim among T1 rows."""
    return cossim.select(features.with_behaviour(pool, "T1"), features, n, seed, options)
