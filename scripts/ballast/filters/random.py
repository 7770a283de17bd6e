"""random: keep a random share of the base data, to see how results depend on its size.

It reads no text and no model. The seed's random order decides, so a smaller share is a part of a larger one, and all
methods of a trial keep the same rows.
"""

import pandas as pd

from ballast.picks.selection import random_order

NEEDS = ()
SEEDED = True
SAFETY = False
OPTIONS = {"keep": (0.5, "Share of the base rows that is kept.")}


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Return minus each row's place in the seed's random order."""
    ids = random_order(base["id"], seed)
    return pd.Series([-float(place) for place in range(len(ids))], ids)
