"""Turn scores of rows into weights: the best within a budget (hard or softmax), or by maximum entropy."""

import numpy as np

MODES = ("hard", "softmax", "entropy")


def weigh(scores, sizes, ids, budget: float, mode: str, temperature: float) -> np.ndarray:
    """Return weights [rows] of sum 1, larger for higher scores; equal scores rank by id.

    A row's size is 1 or its tokens. The best rows are the first by score that reach the budget, in units of size.
    `hard`: the best rows, by their sizes. `softmax`: the best rows, by size times exp(score / temperature); an
    infinite temperature gives `hard`. `entropy`: the weights of sum 1 that maximise mean score + temperature times
    entropy (relative to the sizes), none above what `hard` gives a row of its size; a temperature near 0 gives `hard`,
    an infinite one gives all rows weights by their sizes.
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
    """Return size * min(1 / held, c * exp(score)), with c such that the sum is 1, for scores in falling order.

    The first rows are at the cap: the fewest that leave no other row above it.
    """
    tail = sizes.copy()  # per row: the sum of size * exp(score - its score) over it and all later rows
    for at in range(len(scores) - 2, -1, -1):
        tail[at] += tail[at + 1] * np.exp(scores[at + 1] - scores[at])
    left = held - np.concatenate([[0.0], np.cumsum(sizes)[:-1]])
    first = int(np.argmax(left <= tail))
    shares = sizes / held
    shares[first:] *= left[first] / tail[first] * np.exp(scores[first:] - scores[first])
    return shares
