"""What samplers share: the features of a pool, the random order, and the round-robin quota."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from ballast.categories import CATEGORIES
from ballast.files import BallastError


@dataclass(frozen=True)
class Selection:
    """Ranked ids, the category that each was taken for (None where the sampler has none), and unfilled quota."""

    ids: list[str]
    categories: list[int | None]
    shortfall: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """What is known of a pool; a sampler gets what it NEEDS and the rest is None.

    behaviour: id -> T1..T4 or unknown. categories: id -> tuple of category ids, its own first.
    embedding: (ids, matrix of shape rows x dimensions). references: (category ids, matrix of their embeddings).
    """

    behaviour: pd.Series | None = None
    categories: pd.Series | None = None
    embedding: tuple[pd.Index, np.ndarray] | None = None
    references: tuple[np.ndarray, np.ndarray] | None = None

    @cached_property
    def _units(self) -> pd.DataFrame:
        ids, matrix = self.embedding
        matrix = matrix.astype(np.float64)
        return pd.DataFrame(matrix / np.linalg.norm(matrix, axis=1, keepdims=True), index=ids)

    def units(self, ids: Iterable[str]) -> np.ndarray:
        """Unit embeddings of rows, float64, shape rows x dimensions."""
        return self._units.loc[list(ids)].to_numpy()

    def with_behaviour(self, pool: pd.DataFrame, behaviour: str) -> pd.DataFrame:
        """The rows of the pool with one behaviour; BallastError where there is none."""
        rows = pool[pool["id"].map(self.behaviour) == behaviour]
        if rows.empty:
            raise BallastError(f"the pool has no row labelled {behaviour}, so nothing can be picked from it")
        return rows


def random_order(ids: Iterable[str], seed: int) -> list[str]:
    """Ids ordered by a digest of (seed, id): uniform, whatever the order of the rows, and shared by all samplers."""
    return sorted(ids, key=lambda row: hashlib.sha256(f"{seed}|{row}".encode()).digest())


def ranked(ids: Iterable[str], scores: np.ndarray) -> list[str]:
    """Ids by falling score. Rounded to 6 digits, ties by id: float noise between machines must not change a subset."""
    return [row for _, row in sorted(zip((-np.round(scores, 6)).tolist(), ids, strict=True))]


def first(ids: list[str], n: int) -> Selection:
    """The first n ids; BallastError where there are fewer."""
    _enough(len(ids), n)
    return Selection(ids[:n], [None] * n)


def by_category(pool: pd.DataFrame, features: Features, multilabel: str) -> dict[int, list[str]]:
    """Ids of the pool's rows by category; a row without one is in none. `primary-only` counts a row's first alone."""
    queues: dict[int, list[str]] = {category: [] for category in range(len(CATEGORIES))}
    for row, categories in zip(pool["id"], pool["id"].map(features.categories), strict=True):
        for category in categories[:1] if multilabel == "primary-only" else categories:
            queues[category].append(row)
    return queues


def rarest_first(queues: dict[int, list[str]]) -> list[int]:
    """Categories by the number of rows they have, ties by id."""
    return sorted(queues, key=lambda category: (len(queues[category]), category))


def round_robin(queues: dict[int, list[str]], order: list[int], n: int) -> Selection:
    """Give one slot at a time to the category with the fewest, in `order`, until n rows are taken.

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
