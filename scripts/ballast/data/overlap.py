"""Find texts that two sets share: equal apart from case and punctuation, or nearly equal.

Nearness is the cosine of TF-IDF vectors over words and pairs of words, as in checks for contamination. Prompts are
too short for n-grams of a fixed length.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

NEAR = 0.7  # least cosine of two nearly equal texts
FEATURES = 2**22  # hashed words and pairs of words
BLOCK = 50_000  # texts to hash or weigh at a time
CELLS = 2**22  # products in memory at a time
# A pair of texts is proposed by the words that both hold, the rarest words first, as far as this many products.
PRODUCTS = 2**28
CANDIDATE = 0.35  # least cosine, by the words that propose, of a pair whose full cosine is computed
ROUNDING = 1e-4  # proposals are in single precision
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
    return places(map(normalised, texts), among)


def places(texts: Iterable[str], among: Sequence[str]) -> np.ndarray:
    """Return what `exact` does, of texts that are normalised."""
    known: dict[str, int] = {}
    for place, text in enumerate(map(normalised, among)):
        known.setdefault(text, place)
    known.pop("", None)
    return np.array([known.get(text, -1) for text in texts], np.int64)


class Hashed:
    """Texts as counts of hashed words and pairs of words, for several searches."""

    def __init__(self, counts):
        self.counts, self.texts_with = counts, np.bincount(counts.indices, minlength=FEATURES)

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Hashed":
        import scipy.sparse
        from sklearn.feature_extraction.text import HashingVectorizer

        words = HashingVectorizer(
            ngram_range=(1, 2), n_features=FEATURES, alternate_sign=False, norm=None, dtype=np.float32
        )
        parts = [words.transform(texts[begin : begin + BLOCK]) for begin in range(0, len(texts), BLOCK)]
        return cls(scipy.sparse.vstack(parts or [scipy.sparse.csr_matrix((0, FEATURES), dtype=np.float32)], "csr"))

    def only(self, rows: np.ndarray) -> "Hashed":
        """Return the texts that a mask names."""
        return self if rows.all() else Hashed(self.counts[np.flatnonzero(rows)])


def near(texts: Sequence[str] | Hashed, among: Sequence[str] | Hashed | None = None) -> Nearest:
    """Return each text's nearest in `among` (by default the other texts), if its cosine is at least NEAR.

    The search is exact as long as all words propose pairs (PRODUCTS): of two texts with a cosine of NEAR, the words
    that propose give CANDIDATE at least, since a text's most frequent words, which do not, weigh less than the rest.
    """
    left = texts if isinstance(texts, Hashed) else Hashed.of(texts)
    if among is None:
        return _twins(left)
    right = among if isinstance(among, Hashed) else Hashed.of(among)
    both, size = left.texts_with + right.texts_with, left.counts.shape[0] + right.counts.shape[0]
    return _nearest(left.counts, right.counts, _inverse_frequency(both, size))


def _twins(texts: Hashed) -> Nearest:
    """Search each text's nearest among the others: equal ones by a table, the others once for all equal ones."""
    counts, copies = texts.counts, {}
    starts, indices, data = counts.indptr, counts.indices, counts.data
    for row, (begin, end) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        if begin < end:
            copies.setdefault(indices[begin:end].tobytes() + data[begin:end].tobytes(), []).append(row)
    firsts = np.array([rows[0] for rows in copies.values()], int)
    weight = _inverse_frequency(texts.texts_with, counts.shape[0])
    found = _nearest(counts[firsts], None, weight)
    place, cosine = np.full(counts.shape[0], -1), np.zeros(counts.shape[0])
    for first, other, value, rows in zip(firsts, found.place, found.cosine, copies.values(), strict=True):
        place[rows], cosine[rows] = (firsts[other] if other >= 0 else -1), value
        if len(rows) > 1:
            place[rows], cosine[rows] = first, 1
            place[first] = rows[1]
    return Nearest(place, cosine)


def _inverse_frequency(texts_with: np.ndarray, size: int) -> np.ndarray:
    """Return the weight of each word, from the number of texts that hold it: TF-IDF's, as scikit-learn smooths it."""
    return np.log((size + 1) / (texts_with + 1.0)) + 1


def _weighted(counts, weight: np.ndarray):
    """Return unit vectors."""
    from sklearn.preprocessing import normalize

    found = counts.astype(np.float64)
    found.data *= weight[found.indices]
    return normalize(found, copy=False)


def _nearest(left, right, weight: np.ndarray) -> Nearest:
    """Search the nearest row of `right` for each row of `left`; None: of `left`, and not the row itself."""
    own, right = right is None, left if right is None else right
    there = np.bincount(right.indices, minlength=FEATURES)
    there[there <= own] = 0  # a word of one row alone proposes that row to itself
    asked, missing = _proposing(left, there, weight)
    others = _unit_part(right, np.bincount(asked.indices, minlength=FEATURES) > 0, weight).T.tocsr()
    least = np.maximum(CANDIDATE, NEAR - missing) - ROUNDING
    place, cosine = np.full(left.shape[0], -1), np.zeros(left.shape[0])
    for begin, end in _blocks(asked, there):
        some = asked[begin:end] @ others
        rows = np.repeat(np.arange(begin, end), np.diff(some.indptr))
        kept = some.data >= least[rows]
        kept &= ~(own & (rows == some.indices))
        rows, columns = rows[kept], some.indices[kept]
        found = [
            _weighted(left[rows[part]], weight).multiply(_weighted(right[columns[part]], weight)).sum(axis=1)
            for part in (slice(start, start + BLOCK) for start in range(0, len(rows), BLOCK))
        ]
        found = np.concatenate([np.asarray(part).ravel() for part in found] or [np.zeros(0)])
        # The nearest comes last; among ties, the first of the set.
        order = np.lexsort((-columns, found, rows))
        order = order[found[order] >= NEAR]
        place[rows[order]], cosine[rows[order]] = columns[order], found[order]
    return Nearest(place, cosine)


def _proposing(left, there: np.ndarray, weight: np.ndarray):
    """Return the part of `left` whose words propose pairs, and the length of each row's other part.

    Each row leaves out its most frequent words, as long as they are shorter than NEAR - CANDIDATE together. If the
    rest makes more than PRODUCTS products, the words that make most are left out of all rows.
    """
    import scipy.sparse

    parts, squares = [], []
    for begin in range(0, left.shape[0], BLOCK):
        part = _weighted(left[begin : begin + BLOCK], weight).astype(np.float32)
        rows = np.repeat(np.arange(part.shape[0]), np.diff(part.indptr))
        shared = there[part.indices] > 0
        order = np.lexsort((-there[part.indices], rows))
        sums = np.cumsum(part.data[order].astype(np.float64) ** 2)
        before = np.concatenate([[0], sums])[part.indptr[:-1]]
        frequent = np.zeros(part.nnz, bool)
        frequent[order] = sums - before[rows[order]] <= (NEAR - CANDIDATE) ** 2
        squares.append(np.bincount(rows, part.data**2 * (frequent & shared), part.shape[0]))
        part.data[frequent | ~shared] = 0
        part.eliminate_zeros()
        parts.append(part)
    found = scipy.sparse.vstack(parts or [left], "csr")
    products = np.bincount(found.indices, minlength=FEATURES) * there
    order = np.argsort(products, kind="stable")
    dropped = np.zeros(FEATURES, bool)
    dropped[order[np.cumsum(products[order]) > PRODUCTS]] = True
    if dropped.any():
        print(f"near texts: the {dropped.sum():,} words that most texts share propose no pair", file=sys.stderr)
    out, missing = dropped[found.indices], np.concatenate(squares or [np.zeros(0)])
    rows = np.repeat(np.arange(left.shape[0]), np.diff(found.indptr))
    missing += np.bincount(rows[out], found.data[out] ** 2, left.shape[0])
    found.data[out] = 0
    found.eliminate_zeros()
    return found, np.sqrt(missing)


def _unit_part(counts, words: np.ndarray, weight: np.ndarray):
    """Return the unit vectors' values of some words, in single precision."""
    import scipy.sparse

    parts = []
    for begin in range(0, counts.shape[0], BLOCK):
        part = _weighted(counts[begin : begin + BLOCK], weight).astype(np.float32)
        part.data[~words[part.indices]] = 0
        part.eliminate_zeros()
        parts.append(part)
    return scipy.sparse.vstack(parts or [counts], "csr")


def _blocks(asked, there: np.ndarray):
    """Yield slices of rows, as (begin, end), with about CELLS products each."""
    products = np.concatenate([[0], np.cumsum(there[asked.indices])])[asked.indptr[1:]]
    block = products // CELLS
    edges = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), asked.shape[0]]
    yield from ((begin, end) for begin, end in zip(edges[:-1], edges[1:], strict=True) if begin < end)
