"""A pool of plain values, drawn or given, and what a sampler picks of it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from hypothesis import settings
from hypothesis import strategies as st

from ballast import plugins, samplers
from ballast.data.rows import content_id
from ballast.picks import gradients
from ballast.picks.selection import Features, Selection, pick
from ballast.picks.vectors import in_memory
from ballast.study import methods
from helpers.embeddings import reference_means

WORDS = ["how", "to", "mend", "a", "bicycle", "chain", "please", "help", "sorry", "that", "cannot"]
CATEGORIES = range(14)
GREEDY = ["k-center", "k-center-b", "facility-location", "facility-location-b"]
any_of = settings(max_examples=15, deadline=None, derandomize=True, database=None)


@dataclass(frozen=True)
class Pool:
    """Rows as plain values: ids, a behaviour and categories each, embeddings; and (category, embedding) references.

    A row's gradient, of which none is left where it is zero, and its loss at the warmed-up point and before; gradients
    of base data.
    """

    ids: list[str]
    behaviour: dict[str, str]
    categories: dict[str, tuple[int, ...]]
    embedding: dict[str, np.ndarray]
    references: list[tuple[int, np.ndarray]]
    gradient: dict[str, np.ndarray]
    losses: dict[str, tuple[float, float]]
    base: list[np.ndarray]

    def eligible(self, sampler: str) -> list[str]:
        wanted = "T1" if sampler == "mix" else samplers.split(sampler)[1]  # by its default
        return [row for row in self.ids if wanted in (None, self.behaviour[row])]

    def labels(self, row: str, sampler: str, multilabel: str) -> list[int]:
        """The categories that a row can be taken for; Cossim finds its own."""
        if sampler.startswith("cossim"):
            scores = [self.mean_cosine(row, category) for category in CATEGORIES]
            return [scores.index(max(scores))]
        return list(self.categories[row])[: 1 if multilabel == "primary-only" else None]

    def mean_cosine(self, row: str, category: int) -> float:
        """Section 4.3 pair by pair, to 6 digits."""
        pairs = [cosine(vector, self.embedding[row]) for known, vector in self.references if known == category]
        return round(sum(pairs) / len(pairs), 6)

    def features(self, needs: tuple[str, ...], order: np.random.Generator | None = None) -> Features:
        """What a sampler that NEEDS `needs` gets, its rows shuffled by `order`."""

        def shuffled(items: list) -> list:
            return [items[index] for index in order.permutation(len(items))] if order else items

        ids, known = shuffled(self.ids), {}
        if "behaviour" in needs:
            known["behaviour"] = pd.Series([self.behaviour[row] for row in ids], index=ids)
        if "category" in needs:
            known["categories"] = pd.Series([self.categories[row] for row in ids], index=ids, dtype=object)
        if "embedding" in needs:
            known["embedding"] = in_memory(ids, np.stack([self.embedding[row] for row in ids]))
        if "references" in needs:
            categories, vectors = zip(*shuffled(self.references), strict=True)
            known["references"] = reference_means(categories, np.stack(vectors))
        if "texts" in needs:
            known["texts"] = pd.DataFrame([self.text(row) for row in ids])
        if "base-texts" in needs:
            known["base_texts"] = pd.DataFrame([self.text(f"base {number}") for number in range(5)])
        if "gradients" in needs:
            known["gradients"] = gradients_of(ids, self.gradient, [self.losses[row][0] for row in ids])
        if "base-gradients" in needs:
            base = {f"base{place}": gradient for place, gradient in enumerate(shuffled(self.base))}
            known["base_gradients"] = gradients_of(list(base), base, np.ones(len(base)))
        if "logprobs" in needs:
            known["logprobs"] = pd.Series([np.full(2, -self.losses[row][1], np.float32) for row in ids], index=ids)
        return Features(**known)

    def text(self, row: str) -> dict[str, str]:
        """A pair of a few words each; T1 rows say sorry."""
        drawn = np.random.default_rng(list(row.encode())).choice(WORDS, 8).tolist()
        sorry = "sorry cannot " * (self.behaviour.get(row) == "T1")
        return {"id": row, "instruction": " ".join(drawn[:4]), "input": "", "output": sorry + " ".join(drawn[4:])}


def gradients_of(ids: list[str], gradient: dict[str, np.ndarray], losses) -> gradients.Gradients:
    matrix = np.stack([gradient[row] for row in ids]).astype(float)
    norms = np.linalg.norm(matrix, axis=1)
    return gradients.in_memory(ids, losses, norms, matrix / np.maximum(norms, 1e-12)[:, None])


def unit(vector: np.ndarray) -> np.ndarray:
    vector = vector.astype(np.float64)
    return vector / max(np.linalg.norm(vector), 1e-12)


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(unit(one) @ unit(other))


def make_pool(rows: list[tuple[str, tuple[int, ...]]], seed: int = 0) -> Pool:
    """A pool of (behaviour, categories) rows; embeddings on a coarse grid, so that ties occur."""
    grid = np.random.default_rng(seed)

    def vectors(count: int) -> np.ndarray:
        drawn = grid.integers(-2, 3, size=(count, 3)).astype(np.float32)
        drawn[~drawn.any(axis=1)] = 1
        return drawn

    ids = [content_id(str(seed), str(row)) for row in range(len(rows))]
    return Pool(
        ids,
        {row: behaviour for row, (behaviour, _) in zip(ids, rows, strict=True)},
        {row: categories for row, (_, categories) in zip(ids, rows, strict=True)},
        dict(zip(ids, vectors(len(ids)), strict=True)),
        list(zip([*CATEGORIES, *CATEGORIES, 3], vectors(29), strict=True)),
        dict(zip(ids, vectors(len(ids)) * (grid.random(len(ids)) < 0.9)[:, None], strict=True)),
        {row: tuple(grid.integers(1, 9, 2) / 4) for row in ids},
        list(vectors(3) + 0.25),
    )


@st.composite
def pools(draw) -> Pool:
    behaviour = st.sampled_from(["T1", "T1", "T1", "T2", "T3", "T4", "unknown"])
    categories = st.lists(st.sampled_from(CATEGORIES), max_size=3, unique=True).map(tuple)
    size = draw(st.integers(1, 40))
    rows = draw(st.lists(st.tuples(behaviour, categories), min_size=size, max_size=size))
    return make_pool(rows, draw(st.integers(0, 2**16)))


def select(sampler: str, pool: Pool, n: int, seed: int = 0, order=None, **options) -> Selection:
    """What the sampler picks, given the features that it NEEDS and no other."""
    name, among = samplers.split(sampler)
    plugin = plugins.load("samplers", name)
    rows = pd.DataFrame({"id": pool.ids})
    rows = rows.iloc[order.permutation(len(rows))] if order else rows
    features = pool.features(methods.sampler_needs(name, among), order)
    own = methods.defaults("sampler", name, among)
    given = {option: value for option, value in options.items() if option in own}
    return pick(plugin, rows, features, n, seed, own | given, among)
