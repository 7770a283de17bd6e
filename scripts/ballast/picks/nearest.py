"""The rows nearest to each category, exactly and in bounded memory: float32 finds them, float64 decides.

A score is the dot product of a row's unit embedding and a category's direction, to 6 digits: float noise between
machines must not change a subset. One float32 matrix product scores a block for all categories. Its error has a bound,
so only rows within it of the n best can be among them, and those alone are scored again in float64. Row order, block
size and threads change nothing.
"""

from collections.abc import Iterable

import numpy as np

from ballast.categories import CATEGORIES
from ballast.picks.vectors import BATCH, BLOCK, Vectors

DIGITS = 6
# Two scores that round to one number are no further apart.
GRAIN = 10.0**-DIGITS
EVERY = np.arange(len(CATEGORIES))
BITS = np.left_shift(np.uint16(1), EVERY.astype(np.uint16))


def mean_units(vectors: Vectors, ids: Iterable[str], members: np.ndarray) -> np.ndarray:
    """Mean unit embedding of each category, summed in float64: 14 x dimensions; zero where it has no row.

    `members` says of each id which categories it is in: bit j is set for category j.
    """
    rows, members = _rising(vectors.find(ids), members)
    sums = np.zeros((len(EVERY), vectors.dimensions))
    counts = np.zeros(len(EVERY))
    for part, block, _ in vectors.blocks(rows):
        block = block.astype(np.float64)
        weights = 1 / np.sqrt(np.vecdot(block, block))
        categories, places = np.nonzero(_inside(members[part]).T)
        ends = np.searchsorted(categories, EVERY, side="right")
        for category, some in enumerate(np.split(places, ends[:-1])):
            sums[category] += weights[some] @ block[some]
            counts[category] += len(some)
    return sums / np.maximum(counts, 1)[:, None]


def best(
    vectors: Vectors, ids: Iterable[str], directions: np.ndarray, n: int, members: np.ndarray | None = None
) -> tuple[dict[int, list[str]], dict[int, int]]:
    """Ids of each category's n best rows, ranked, ties by id; and how many rows the category has in all.

    `directions` is 14 x dimensions, float64. A row is in the categories that its bits in `members` name; without
    `members`, in the one that scores it highest.
    """
    rows, members = _rising(vectors.find(ids), members)
    scores = _Scores(vectors, directions)
    queues = _Queues(scores, max(n, 1))
    sizes = np.zeros(len(EVERY), int)
    for part, block, norms in vectors.blocks(rows):
        near = scores.near(block, norms)
        if members is None:
            places, categories = np.arange(len(near)), scores.highest(near, rows[part])
        else:
            places, categories = np.nonzero(_inside(members[part]))
        sizes += np.bincount(categories, minlength=len(EVERY))
        queues.offer(rows[part][places], categories, near[places, categories])
    return queues.ids(), {category: int(size) for category, size in enumerate(sizes)}


def highest(vectors: Vectors, ids: Iterable[str], directions: np.ndarray) -> np.ndarray:
    """The category that scores each row highest; ties, to 6 digits, go to the lower id."""
    found = vectors.find(ids)
    rows, places = _rising(found, np.arange(len(found)))
    scores = _Scores(vectors, directions)
    category = np.empty(len(rows), int)
    for part, block, norms in vectors.blocks(rows):
        category[places[part]] = scores.highest(scores.near(block, norms), rows[part])
    return category


class _Scores:
    """Scores of rows in all directions, near and exact."""

    def __init__(self, vectors: Vectors, directions: np.ndarray):
        self.vectors, self.directions = vectors, directions
        self._narrow = np.ascontiguousarray(directions.T, dtype=np.float32)
        # A dot product of d terms, each rounded, is off by no more than d units of 2^-24 of both norms' product,
        # in whatever order it is summed (Higham, 2002, section 3.1); so is the row's norm; the rest is a few roundings.
        error = 2 * (vectors.dimensions + 8) * 2.0**-24 * np.linalg.norm(directions, axis=1)
        # Between two scores whose exact values may round to one: both errors and a grain.
        self.slack = 2 * error + GRAIN

    def near(self, block: np.ndarray, norms: np.ndarray) -> np.ndarray:
        """float32 scores, rows x 14."""
        return (block @ self._narrow) / norms[:, None]

    def exact(self, rows: np.ndarray, category: int) -> np.ndarray:
        """float64 scores in one direction, rounded."""
        parts = [rows[begin : begin + BLOCK] for begin in range(0, len(rows), BLOCK)]
        found = []
        for part in parts:
            self.vectors.scattered()
            found.append(np.vecdot(self.vectors.units(part), self.directions[category]))
        return np.round(np.concatenate([np.empty(0), *found]), DIGITS)

    def highest(self, near: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The category of each row's highest score; in float64 where float32 leaves it open."""
        category = near.argmax(axis=1)
        by_direction = near.T.copy()  # whose columns are short to reduce, and its rows are not
        close = by_direction >= by_direction.max(axis=0) - self.slack.max()
        is_open = np.flatnonzero(close.sum(axis=0, dtype=np.int8) > 1)
        units = self.vectors.units(rows[is_open])
        category[is_open] = np.round(np.vecdot(units[:, None], self.directions), DIGITS).argmax(axis=1)
        return category


class _Queues:
    """The n best rows of every category, among rows that are offered in parts."""

    def __init__(self, scores: _Scores, n: int):
        self._scores, self._n = scores, n
        self._parts, self._held = [], 0
        # No row with a lower float32 score can be among the best of its category.
        self._least = np.full(len(EVERY), -np.inf, np.float32)

    def offer(self, rows: np.ndarray, categories: np.ndarray, near: np.ndarray) -> None:
        some = np.flatnonzero(near >= self._least[categories])
        self._parts.append((rows[some], categories[some], near[some]))
        self._held += len(some)
        if self._held > len(EVERY) * (self._n + BATCH):
            self._forget()

    def ids(self) -> dict[int, list[str]]:
        """The ids of each category's best, ranked."""
        return {category: self._ranked(category, *found)[0] for category, found in self._by_category().items()}

    def _by_category(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Rows and float32 scores of those that can be among the best."""
        rows, categories, near = (np.concatenate(each) for each in zip(*self._parts, strict=True))
        found = {}
        for category in EVERY.tolist():
            own = categories == category
            score = near[own]
            if len(score) > self._n:
                self._least[category] = np.partition(score, -self._n)[-self._n] - self._scores.slack[category]
            hopeful = score >= self._least[category]
            found[category] = rows[own][hopeful], score[hopeful]
        return found

    def _forget(self) -> None:
        """Let go of what cannot be among the best; where many rows are all but equal, float64 and ids decide now."""
        parts = []
        for category, (rows, near) in self._by_category().items():
            if len(rows) > self._n + BATCH // 2:
                _, rows, near = self._ranked(category, rows, near)
            parts.append((rows, np.full(len(rows), category), near))
        self._parts, self._held = parts, sum(len(rows) for rows, _, _ in parts)

    def _ranked(self, category: int, rows: np.ndarray, near: np.ndarray) -> tuple[list[str], np.ndarray, np.ndarray]:
        exact = self._scores.exact(rows, category).tolist()
        ids = self._scores.vectors.names(rows)
        order = sorted(range(len(rows)), key=lambda place: (-exact[place], ids[place]))[: self._n]
        return [ids[place] for place in order], rows[order], near[order]


def bits(categories: np.ndarray) -> np.ndarray:
    """Sets of one category each: bit j is set for category j."""
    return BITS[categories]


def _inside(members: np.ndarray) -> np.ndarray:
    """Bits as booleans, rows x 14."""
    return members[:, None] & BITS != 0


def _rising(rows: np.ndarray, along: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Row numbers in the order of the file, and what goes along with them."""
    if (np.diff(rows) > 0).all():
        return rows, along
    order = np.argsort(rows)
    return rows[order], None if along is None else along[order]
