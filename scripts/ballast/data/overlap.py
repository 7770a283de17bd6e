"""Find texts that two sets share: equal apart from case and punctuation, or nearly equal.

Nearness is the cosine of TF-IDF vectors over words and pairs of words, as in checks for contamination. Prompts are
too short for n-grams of a fixed length.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

NEAR = 0.7  # least cosine of two nearly equal texts
FEATURES = 2**22  # hashed words and pairs of words
CELLS = 2**23  # cosines in memory at a time
COMMON, MANY = 0.02, 1000  # a word in more than this share and number of texts makes no candidate
CANDIDATE = 0.35  # least cosine, without common words, of a pair whose full cosine is computed
WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Nearest:
    """The nearest text of another set for each text: its place there (-1: none is near), and the cosine."""

    place: np.ndarray
    cosine: np.ndarray


def normalised(text: str) -> str:
    """Return a text's words in Unicode's compatibility form, case-folded, joined by spaces."""
    return " ".join(WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def exact(texts: Sequence[str], among: Sequence[str]) -> np.ndarray:
    """Return each text's first place in `among`, -1 if absent. A text without words equals none."""
    places: dict[str, int] = {}
    for place, text in enumerate(map(normalised, among)):
        places.setdefault(text, place)
    places.pop("", None)
    return np.array([places.get(normalised(text), -1) for text in texts], np.int64)


def near(texts: Sequence[str], among: Sequence[str] | None = None) -> Nearest:
    """Return each text's nearest in `among` (by default the other texts), if its cosine is at least NEAR."""
    import scipy.sparse
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    hashed = HashingVectorizer(ngram_range=(1, 2), n_features=FEATURES, alternate_sign=False, norm=None)
    counts = hashed.transform([*texts, *(among or [])])
    common = np.bincount(counts.indices, minlength=FEATURES) > max(COMMON * counts.shape[0], MANY)
    weighted = TfidfTransformer().fit_transform(counts).tocsr()
    rare = weighted @ scipy.sparse.diags_array((~common).astype(weighted.dtype))
    left, right = slice(0, len(texts)), slice(len(texts) if among is not None else 0, None)
    others = rare[right].T.tocsr()
    place, cosine = np.full(len(texts), -1), np.zeros(len(texts))
    step = max(1, CELLS // max(1, others.shape[1]))
    for begin in range(0, len(texts), step):
        some = rare[left][begin : begin + step] @ others
        some.data[some.data < CANDIDATE] = 0
        rows, columns = some.nonzero()
        if among is None:
            rows, columns = rows[rows + begin != columns], columns[rows + begin != columns]
        found = np.asarray(weighted[left][begin + rows].multiply(weighted[right][columns]).sum(axis=1)).ravel()
        # The nearest comes last; among ties, the first of the set.
        order = np.lexsort((-columns, found, rows))
        order = order[found[order] >= NEAR]
        place[begin + rows[order]], cosine[begin + rows[order]] = columns[order], found[order]
    return Nearest(place, cosine)
