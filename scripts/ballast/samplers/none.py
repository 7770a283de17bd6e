"""none: fine-tuning on base data alone, the paper's no-safety baseline."""

from ballast.picks.selection import Selection, first

NEEDS = ()
SEEDED = False
AMONG = False  # it picks no row, whatever the behaviour


def select(pool, features, n, seed, options) -> Selection:
    """Nothing; n must be 0."""
    return first([], n)
