"""none: fine-tuning on base data alone, the paper's no-safety baseline."""

from ballast.picks.selection import Selection, first

NEEDS = ()
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """Nothing; n must be 0."""
    return first([], n)
