"""Share between samplers: the features of a pool, the random order, the ranking by score, the round-robin quota."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
import pandas as pd

from ballast import categories as harm
from ballast.files import BallastError
from ballast.picks.gradients import Gradients
from ballast.picks.vectors import Vectors, positions

DIGITS = 6  # of a score: float noise between machines must not change a subset


@dataclass(frozen=True)
class Selection:
    """Ranked ids, the category that each was taken for (None if the sampler has none), and unfilled quota."""

    ids: list[str]
    categories: list[int | None]
    shortfall: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """The features of a pool; a sampler gets those it NEEDS, the others are None.

    behaviour: id -> T1..T4 or unknown. categories: id -> category ids, its own first. embedding: one per row.
    references: mean unit embedding of each category's references, float64, shape categories x dimensions.
    gradients, base_gradients, reference_gradients: of the pool, the base data and the references, under one model.
    logprobs: id -> log-probabilities of the response's tokens under the original model, of pool, base data or both.
    texts, base_texts: the rows of the pool and of the base data (schemas.PAIRS).
    pool: the whole pool, if the rows to pick from are those of one behaviour.
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
        """Return the rows of the pool with one behaviour; raise BallastError if there is none."""
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
    """Order ids by a digest of (seed, id): uniform, independent of the rows' order, and shared by all samplers."""
    return sorted(ids, key=lambda row: _digest(row, seed))


def draw(ids: Iterable[str], n: int, seed: int) -> list[str]:
    """Return the first n in the random order."""
    return random_order(ids, seed)[:n]


def draw_each(ids: Iterable[str], members: np.ndarray, n: int, seed: int) -> dict[int, list[str]]:
    """Return the first n of each category in the random order; `members` come from by_category."""
    ids = np.asarray(ids, object)
    order = np.array(sorted(range(len(ids)), key=lambda row: _digest(ids[row], seed)), int)
    return {category: ids[order[own[order]][:n]].tolist() for category, own in enumerate(members.T)}


def gumbel(ids: Iterable[str], seed: int) -> np.ndarray:
    """Return standard Gumbel noise of each id, float64: the n highest scores plus noise are n draws by softmax(scores).

    The draws are without replacement (Yellott, 1977). If all scores are equal, they equal those of `draw`.
    """
    drawn = np.array([int.from_bytes(_digest(row, seed)[:8], "big") for row in ids], float)
    return -np.log(-np.log1p(-(drawn + 0.5) / 2.0**64))


def _digest(row: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}|{row}".encode()).digest()


def highest(ids: Iterable[str], scores: np.ndarray, n: int) -> list[str]:
    """Return the ids of the n highest scores, ranked to 6 digits, ties by id."""
    ids, scores = np.asarray(ids, object), np.round(scores, DIGITS)
    if len(ids) > n > 0:
        some = scores >= np.partition(scores, -n)[-n]
        ids, scores = ids[some], scores[some]
    return [row for _, row in sorted(zip((-scores).tolist(), ids, strict=True))][:n]


def first(ids: list[str], n: int) -> Selection:
    """Return the first n ids; raise BallastError if there are fewer."""
    _enough(len(ids), n)
    return Selection(ids[:n], [None] * n)


def by_embedding(pool: pd.DataFrame, features: Features, n: int, order: Callable) -> Selection:
    """Return the rows that `order(units, n)` ranks, given their unit embeddings by id: float64, rows x dimensions."""
    ids = sorted(pool["id"])
    units = features.embedding.units(features.embedding.find(ids))
    ranked = order(units, min(n, len(ids)))
    return first([ids[row] for row in ranked] if n <= len(ids) else ids, n)


def by_category(pool: pd.DataFrame, features: Features, multilabel: str) -> np.ndarray:
    """Return the categories of each row of the pool as booleans, rows x categories.

    A row without a category is in none. `primary-only` counts a row's first category alone.
    """
    known = features.categories.tolist()
    rows = positions(features.categories.index, pool["id"], "category labels")
    lists = [known[row][: 1 if multilabel == "primary-only" else None] for row in rows]
    members = np.zeros((len(lists), harm.number()), bool)
    members[[row for row, ids in enumerate(lists) for _ in ids], [each for ids in lists for each in ids]] = True
    return members


def rarest_first(sizes: dict[int, int]) -> list[int]:
    """Return the categories, fewest rows first, ties by id."""
    return sorted(sizes, key=lambda category: (sizes[category], category))


def round_robin(queues: dict[int, list[str]], order: list[int], n: int) -> Selection:
    """Give one slot at a time to the category with the fewest, in `order`, until n rows are taken.

    Each queue holds the first n ranked ids of its category, or all if it has fewer. A row taken for one category is
    skipped by the others. An exhausted category's slots go to the rest; its shortfall is an even share minus its
    slots. Raises BallastError if all categories together have too few rows.
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
