"""none: fine-tuning on base data alone, the paper's no-safety baseline."""

from ballast.picks.selection import Selection, first

NEEDS = ()
SEEDED = False
AMONG = False  # it picks no row of any behaviour


def select(pool, features, n, seed, options) -> Selection:
    """Pick nothing; n must be 0."""
    return first([], n)
