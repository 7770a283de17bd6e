"""Rank rows by their cosine to a direction per harm category: in float64, to 6 digits, ties by id.

Each score is a separate dot product, because the last bits of a matrix product depend on a row's position. So the order
of the rows, the size of a block and the number of threads change nothing.
"""

from collections.abc import Iterable

import numpy as np

from ballast import categories as harm
from ballast.picks.selection import DIGITS, highest
from ballast.picks.vectors import Vectors


def one_hot(categories: np.ndarray) -> np.ndarray:
    """Return booleans, rows x categories, true at each row's only category."""
    return np.eye(harm.number(), dtype=bool)[categories]


def mean_units(vectors: Vectors, ids: Iterable[str], members: np.ndarray) -> np.ndarray:
    """Return the mean unit embedding of each category, float64, categories x dimensions; zeros for no rows.

    `members`: booleans, ids x categories.
    """
    sums = np.zeros((members.shape[1], vectors.dimensions))
    for part, block, norms in vectors.blocks(vectors.find(ids)):
        sums += members[part].T / norms @ block
    return sums / np.maximum(members.sum(axis=0), 1)[:, None]


def best(
    vectors: Vectors, ids: Iterable[str], directions: np.ndarray, n: int, members: np.ndarray | None = None
) -> tuple[dict[int, list[str]], dict[int, int]]:
    """Return the ids of each category's n best rows, ranked, and the number of rows in each category.

    `directions`: float64, categories x dimensions. `members`: booleans, ids x categories; without it a row is in the
    category with its highest score.
    """
    ids = np.asarray(ids, object)
    scores = _scores(vectors, ids, directions)
    members = one_hot(scores.argmax(axis=1)) if members is None else members
    queues = {each: highest(ids[own], scores[own, each], n) for each, own in enumerate(members.T)}
    return queues, dict(enumerate(members.sum(axis=0).tolist()))


def nearest_category(vectors: Vectors, ids: Iterable[str], directions: np.ndarray) -> np.ndarray:
    """Return the category that scores each row highest; ties go to the lower category id."""
    return _scores(vectors, ids, directions).argmax(axis=1)


def _scores(vectors: Vectors, ids: Iterable[str], directions: np.ndarray) -> np.ndarray:
    """Return the rounded scores of rows in all directions, ids x categories."""
    rows = vectors.find(ids)
    found = np.empty((len(rows), len(directions)))
    for part, block, norms in vectors.blocks(rows):
        found[part] = np.vecdot((block / norms[:, None])[:, None], directions)
    return np.round(found, DIGITS)
