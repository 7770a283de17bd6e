"""bi-anchor: drop first the base rows whose gradient resembles harmful pairs and not safe ones.

He, Xia and Henderson, What is in your safe data? (arXiv 2404.01099): a benign row's score is its gradient's mean
cosine to harmful anchors minus that to safe anchors; rows with the highest scores cost most safety. Ours differs: the
harmful anchors are drawn from the references, the safe ones from the pool's T1 rows; all tokens of a response count,
not its first ten; gradients are projected ones of the warmed-up adapter; and `keep` sets how many rows stay.
"""

import pandas as pd

from ballast.filters.dualselect_static import LAST
from ballast.picks.selection import draw

NEEDS = ("behaviour", "gradients", "base-gradients", "reference-gradients")
SEEDED = True
SAFETY = False
OPTIONS = {
    "keep": (0.9, "Share of the base rows that is trained on."),
    "anchors": (10, "Rows of each kind, harmful and safe."),
}


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Return the mean cosine to the safe anchors minus that to the harmful ones, by id: -2 to 2."""
    gradients = features.base_gradients
    harmful = _anchors(features.reference_gradients, features.reference_gradients.ids, options["anchors"], seed)
    pool = pd.DataFrame({"id": features.behaviour.index})
    safe = _anchors(features.gradients, features.with_behaviour(pool, "T1")["id"], options["anchors"], seed)
    rows = gradients.learnt(base["id"])
    known = pd.Series(gradients.along(rows, safe - harmful), gradients.names(rows))
    return known.reindex(base["id"], fill_value=LAST)


def _anchors(gradients, ids, count: int, seed: int):
    """Return the mean unit gradient of rows drawn by the seed."""
    return gradients.mean(gradients.find(draw(ids, count, seed)), unit=True)
