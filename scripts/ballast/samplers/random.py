"""random: uniform without replacement, the paper's baseline (Bianchi et al., 2024)."""

from ballast.picks.selection import Selection, draw, first

NEEDS = ()
SEEDED = True


def select(pool, features, n, seed, options) -> Selection:
    """Pick the first n rows in the seed's random order."""
    return first(draw(pool["id"], n, seed), n)
