"""pss-b: PSS-Behavioral, the T1 rows nearest their category's centroid (paper section 3.3)."""

from ballast.picks.selection import Selection
from ballast.samplers import pss

NEEDS = ("behaviour", "category", "embedding")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """As pss among T1 rows; option `centroid` takes the mean over T1 rows (`eligible`) or over all rows (`all`)."""
    eligible = features.with_behaviour(pool, "T1")
    centroid_pool = pool if options["centroid"] == "all" else eligible
    return pss.select(eligible, features, n, seed, options, centroid_pool)
