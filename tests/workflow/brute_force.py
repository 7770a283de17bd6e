"""Every sampler of the paper a second time: slow, obvious, and written from the paper's formulas alone.

Sections 3.2, 3.3 and 4.3 say what is scored; where they are silent, Ballast's rules for quotas and ties apply: one
slot at a time to the category with the fewest, rarest category first, ties by id. Nothing is shared with the workflow.
"""

import hashlib
import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

BEHAVIOURS = {"T1", "T2", "T3", "T4"}


@dataclass(frozen=True)
class Pool:
    """What is known of a pool, by row id; `references` are (category, embedding) pairs."""

    ids: list[str]
    behaviour: dict[str, str] = field(default_factory=dict)
    categories: dict[str, list[int]] = field(default_factory=dict)
    embedding: dict[str, np.ndarray] = field(default_factory=dict)
    references: list[tuple[int, np.ndarray]] = field(default_factory=list)

    @cached_property
    def similarity(self) -> dict[str, dict[int, float]]:
        """Section 4.3: the average cosine of a row to each category's reference set, every pair on its own."""
        return {
            row: {
                category: mean(
                    [cosine(vector, self.embedding[row]) for known, vector in self.references if known == category]
                )
                for category in sorted({known for known, _ in self.references})
            }
            for row in self.ids
        }


def subset(pool: Pool, sampler: str, n: int, seed: int, centroid: str = "all") -> list[tuple[str, int | None]]:
    """The ranked (id, category) pairs that `sampler` picks; the category is None where none is looked at."""
    method, _, variant = sampler.partition("-")
    if sampler.upper() in BEHAVIOURS:
        eligible = [row for row in pool.ids if pool.behaviour[row] == sampler.upper()]
        return [(row, None) for row in by_digest(eligible, seed)][:n]
    eligible = [row for row in pool.ids if pool.behaviour[row] == "T1"] if variant == "b" else list(pool.ids)
    if method == "none":
        return []
    if method == "random":
        return [(row, None) for row in by_digest(eligible, seed)][:n]
    if method == "sss":
        ranked = {category: by_digest(members(pool, eligible, category), seed) for category in labels(pool)}
        return round_robin(ranked, by_digest(ranked, seed), n)
    if method == "pss":
        ranked = {}
        for category in labels(pool):
            candidates = members(pool, eligible, category)
            prototypes = members(pool, pool.ids, category) if centroid == "all" else candidates
            if prototypes:
                centre = sum(np.asarray(pool.embedding[row], dtype=np.float64) for row in prototypes) / len(prototypes)
                ranked[category] = by_score({row: cosine(pool.embedding[row], centre) for row in candidates})
        return round_robin(ranked, rarest_first(ranked), n)
    if method == "cossim":
        nearest = {row: max(pool.similarity[row], key=lambda known: pool.similarity[row][known]) for row in eligible}
        ranked = {
            category: by_score({row: pool.similarity[row][category] for row in eligible if nearest[row] == category})
            for category in sorted(set(nearest.values()))
        }
        return round_robin(ranked, rarest_first(ranked), n)
    raise ValueError(f"the paper has no sampler '{sampler}'")


def labels(pool: Pool) -> list[int]:
    return sorted({category for row in pool.ids for category in pool.categories[row]})


def members(pool: Pool, rows: list[str], category: int) -> list[str]:
    """D_j: the rows labelled with a category."""
    return [row for row in rows if category in pool.categories[row]]


def round_robin(ranked: dict[int, list[str]], order: list[int], n: int) -> list[tuple[str, int]]:
    """Slot after slot to the category that has the fewest and still has a row nobody took."""
    taken = []
    for _ in range(n):
        used = {row for row, _ in taken}
        open_categories = [category for category in order if any(row not in used for row in ranked[category])]
        if not open_categories:
            raise ValueError(f"only {len(taken)} rows for {n}")
        slots = Counter(taker for _, taker in taken)
        category = min(open_categories, key=lambda one: (slots[one], order.index(one)))
        taken.append((next(row for row in ranked[category] if row not in used), category))
    return taken


def rarest_first(ranked: dict[int, list[str]]) -> list[int]:
    return sorted(ranked, key=lambda category: (len(ranked[category]), category))


def by_score(scores: dict[str, float]) -> list[str]:
    return sorted(scores, key=lambda row: (-round(scores[row], 6), row))


def by_digest(keys, seed: int) -> list:
    """A random order that depends on the seed and the keys, not on where the keys stand."""
    return sorted(keys, key=lambda key: hashlib.sha256(f"{seed}|{key}".encode()).hexdigest())


def cosine(one, other) -> float:
    one, other = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    return float(one @ other) / math.sqrt(float(one @ one) * float(other @ other))


def mean(values: list[float]) -> float:
    return sum(values) / len(values)
