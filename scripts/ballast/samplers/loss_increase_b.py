"""loss-increase-b: the same among T1 rows."""

from ballast.picks.selection import Selection
from ballast.samplers import loss_increase

NEEDS = ("behaviour", "gradients", "base-gradients", "logprobs")
SEEDED = False


def select(pool, features, n, seed, options) -> Selection:
    """As loss-increase among T1 rows."""
    return loss_increase.select(features.with_behaviour(pool, "T1"), features, n, seed, options)
