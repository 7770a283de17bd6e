"""Weights of rows from their scores: the best within a budget, all alike, or as entropy has it."""

import numpy as np

MODES = ("hard", "softmax", "entropy")


def weigh(scores, sizes, ids, budget: float, mode: str, temperature: float) -> np.ndarray:
    """Weights [rows] of sum 1, more for a higher score; equal scores rank by id.

    A row has a size, 1 or its tokens. The best rows are those taken until the budget, in units of size, is reached.
    `hard`: the best rows, by their sizes. `softmax`: the best rows, by size times exp(score / temperature); a
    temperature without bound gives `hard`. `entropy`: the weights of sum 1 that maximise mean score + temperature times
    entropy (relative to the sizes), none above what `hard` gives a row of its size; a temperature near 0 gives `hard`,
    one without bound gives all rows their share.
    """
    scores, sizes = np.asarray(scores, dtype=np.float64), np.asarray(sizes, dtype=np.float64)
    order = np.lexsort((np.asarray(ids), -scores))
    ranked, sizes = scores[order] / temperature, sizes[order]
    count = 1 + np.searchsorted(np.cumsum(sizes)[:-1], budget)
    held = sizes[:count].sum()
    shares = np.zeros(len(scores))
    if mode == "entropy":
        shares = _capped(ranked, sizes, held)
    elif mode == "softmax":
        raised = sizes[:count] * np.exp(ranked[:count] - ranked[0])
        shares[:count] = raised / raised.sum()
    else:
        shares[:count] = sizes[:count] / held
    weights = np.empty(len(scores))
    weights[order] = shares
    return weights


def _capped(scores: np.ndarray, sizes: np.ndarray, held: float) -> np.ndarray:
    """size * min(1 / held, c * exp(score)) with the c of sum 1, for scores in falling order.

    The first rows are at the cap; of those numbers of them that leave no other row above it, the least is right.
    """
    tail = sizes.copy()  # of each row and those behind it: the sum of size * exp(score - that row's)
    for at in range(len(scores) - 2, -1, -1):
        tail[at] += tail[at + 1] * np.exp(scores[at + 1] - scores[at])
    left = held - np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    first = int(np.argmax(left <= tail))
    shares = sizes / held
    shares[first:] *= left[first] / tail[first] * np.exp(scores[first:] - scores[first])
    return shares
