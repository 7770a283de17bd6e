"""What samplers share: the features of a pool, the random order, and the round-robin quota.

Rows are numbers and bits until they are picked: the ids of ten million rows are too much for Python's own strings.
"""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
import pandas as pd
import pyarrow as pa

from ballast.categories import CATEGORIES
from ballast.files import BallastError
from ballast.picks.gradients import Gradients
from ballast.picks.nearest import DIGITS, bits
from ballast.picks.vectors import Vectors, arrow_ids, positions

PART = 65_536  # ids that are Python's at a time


@dataclass(frozen=True)
class Selection:
    """Ranked ids, the category that each was taken for (None where the sampler has none), and unfilled quota."""

    ids: list[str]
    categories: list[int | None]
    shortfall: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """What is known of a pool; a sampler gets what it NEEDS and the rest is None.

    behaviour: id -> T1..T4 or unknown. categories: id -> category ids, its own first. embedding: of every row.
    references: mean unit embedding of each category's references, float64, shape 14 x dimensions.
    gradients, base_gradients, reference_gradients: of the pool, the base data and the references, for one model.
    logprobs: id -> log-probabilities of the response's tokens under that model as it is, of pool, base data or both.
    texts, base_texts: the rows themselves of the pool and of the base data (schemas.PAIRS).
    pool: the whole pool, where the rows to pick from are those of one behaviour.
    """

    behaviour: pd.Series | None = None
    categories: pd.Series | None = None
    embedding: Vectors | None = None
    references: np.ndarray | None = None
    gradients: Gradients | None = None
    base_gradients: Gradients | None = None
    reference_gradients: Gradients | None = None
    logprobs: pd.Series | None = None
    texts: pd.DataFrame | None = None
    base_texts: pd.DataFrame | None = None
    pool: pd.DataFrame | None = None

    def with_behaviour(self, pool: pd.DataFrame, behaviour: str) -> pd.DataFrame:
        """The rows of the pool with one behaviour; BallastError where there is none."""
        known = positions(self.behaviour.index, pool["id"], "behaviour labels")
        rows = pool[(self.behaviour == behaviour).to_numpy()[known]]
        if rows.empty:
            raise BallastError(f"the pool has no row labelled {behaviour}, so nothing can be picked from it")
        return rows


def pick(
    sampler: ModuleType,
    pool: pd.DataFrame,
    features: Features,
    n: int,
    seed: int,
    options: dict,
    among: str | None = None,
) -> Selection:
    """Ask a sampler for n rows of the pool, or of its rows with the behaviour `among`."""
    rows = features.with_behaviour(pool, among) if among else pool
    return sampler.select(rows, replace(features, pool=pool), n, seed, options)


def random_order(ids: Iterable[str], seed: int) -> list[str]:
    """Ids ordered by a digest of (seed, id): uniform, whatever the order of the rows, and shared by all samplers."""
    return sorted(ids, key=lambda row: hashlib.sha256(f"{seed}|{row}".encode()).digest())


def draw(ids: Iterable[str], n: int, seed: int) -> list[str]:
    """The first n in the random order."""
    ids = arrow_ids(ids)
    return _drawn(ids, _digests(ids, seed), n, seed)


def draw_each(ids: Iterable[str], members: np.ndarray, n: int, seed: int) -> dict[int, list[str]]:
    """The first n of each category in the random order; `members` are as by_category gives them."""
    some = np.flatnonzero(members)
    ids, members = arrow_ids(ids).take(some), members[some]
    digests = _digests(ids, seed)
    inside = {category: np.flatnonzero(members >> category & 1) for category in range(len(CATEGORIES))}
    return {category: _drawn(ids.take(rows), digests[rows], n, seed) for category, rows in inside.items()}


def _digests(ids: pa.ChunkedArray, seed: int) -> np.ndarray:
    """The first 8 bytes of each row's digest as a number, so that it has the order of the whole but for ties."""
    sha256, parts = hashlib.sha256, [np.empty(0, ">u8")]
    for begin in range(0, len(ids), PART):
        rows = ids.slice(begin, PART).to_pylist()
        parts.append(np.frombuffer(b"".join([sha256(f"{seed}|{row}".encode()).digest()[:8] for row in rows]), ">u8"))
    return np.concatenate(parts).astype(np.uint64)


def _drawn(ids: pa.ChunkedArray, digests: np.ndarray, n: int, seed: int) -> list[str]:
    if len(ids) > n > 0:
        ids = ids.take(np.flatnonzero(digests <= np.partition(digests, n - 1)[n - 1]))
    return random_order(ids.to_pylist(), seed)[:n]


def gumbel(ids: Iterable[str], seed: int) -> np.ndarray:
    """Standard Gumbel noise of each id, float64: the n highest of scores plus noise are n draws by softmax(scores).

    Without replacement, one after the other (Yellott, 1977). Where all scores are equal they are those of `draw`.
    """
    uniform = (_digests(arrow_ids(ids), seed).astype(float) + 0.5) / 2.0**64
    return -np.log(-np.log1p(-uniform))


def highest(ids: Iterable[str], scores: np.ndarray, n: int) -> list[str]:
    """Ids of the n highest scores, ranked; to 6 digits, since float noise must not decide, and ties go by id."""
    scores, ids = np.round(scores, DIGITS), arrow_ids(ids)
    if len(ids) > n > 0:
        some = np.flatnonzero(scores >= np.partition(scores, -n)[-n])
        ids, scores = ids.take(some), scores[some]
    return [row for _, row in sorted(zip((-scores).tolist(), ids.to_pylist(), strict=True))][:n]


def first(ids: list[str], n: int) -> Selection:
    """The first n ids; BallastError where there are fewer."""
    _enough(len(ids), n)
    return Selection(ids[:n], [None] * n)


def by_embedding(pool: pd.DataFrame, features: Features, n: int, order: Callable) -> Selection:
    """The rows that `order(units, n)` ranks, given their unit embeddings by id: float64, rows x dimensions."""
    ids = sorted(pool["id"])
    units = features.embedding.units(features.embedding.find(ids))
    ranked = order(units, min(n, len(ids)))
    return first([ids[row] for row in ranked] if n <= len(ids) else ids, n)


def by_category(pool: pd.DataFrame, features: Features, multilabel: str) -> np.ndarray:
    """Of each row of the pool the categories that it is in: bit j is set for category j.

    A row without a category has no bit. `primary-only` counts a row's first category alone.
    """
    lists = _lists(features.categories)
    lengths = np.diff(lists.offsets.to_numpy())
    rows = np.repeat(np.arange(len(lists)), lengths)
    own = np.diff(rows, prepend=-1) > 0
    counted = own if multilabel == "primary-only" else slice(None)
    members = np.zeros(len(lists), np.uint16)
    np.bitwise_or.at(members, rows[counted], bits(lists.flatten().to_numpy()[counted]))
    return members[positions(features.categories.index, pool["id"], "category labels")]


def _lists(categories: pd.Series) -> pa.ListArray:
    """Arrow's own lists, not copied where they are that already."""
    lists = pa.array(categories.array if isinstance(categories.dtype, pd.ArrowDtype) else categories.tolist())
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return lists.cast(pa.list_(pa.int8()))


def sizes(members: np.ndarray) -> dict[int, int]:
    """How many rows each category has."""
    return {category: int(np.count_nonzero(members >> category & 1)) for category in range(len(CATEGORIES))}


def rarest_first(sizes: dict[int, int]) -> list[int]:
    """Categories by the number of rows they have, ties by id."""
    return sorted(sizes, key=lambda category: (sizes[category], category))


def round_robin(queues: dict[int, list[str]], order: list[int], n: int) -> Selection:
    """Give one slot at a time to the category with the fewest, in `order`, until n rows are taken.

    A queue is ranked ids, the first n at least: fewer than n rows are taken before the last, so nobody comes further.
    A row taken for one category is skipped by the others. An exhausted category's slots go to the rest, and what it
    lacks against an even share is its shortfall. Raises BallastError where all categories together have too few.
    """
    _enough(len(set().union(*queues.values())), n, " with a category")
    waiting = {category: iter(queues[category]) for category in order}
    taken: dict[str, int] = {}
    while len(taken) < n:
        for category in [category for category in order if category in waiting]:
            row = next((row for row in waiting[category] if row not in taken), None)
            if row is None:
                del waiting[category]
            elif len(taken) < n:
                taken[row] = category
    counts = {category: list(taken.values()).count(category) for category in order}
    share = n // len(order)
    shortfall = {category: share - count for category, count in sorted(counts.items()) if count < share}
    return Selection(list(taken), list(taken.values()), shortfall)


def _enough(have: int, wanted: int, which: str = "") -> None:
    if have < wanted:
        raise BallastError(f"{wanted} examples wanted, but only {have} rows{which} are eligible; ask for a smaller n")
