"""Where the rows of a pool lie in a plane: the first two principal components of their unit embeddings."""

import numpy as np

from ballast.picks.vectors import Vectors


def plane(vectors: Vectors) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates, float32, shape rows x 2, and the share of the variance that each of the two explains.

    Read block by block; each component points where its largest weight is positive, so the picture never mirrors.
    """
    rows = np.arange(len(vectors))
    total, products = np.zeros(vectors.dimensions), np.zeros((vectors.dimensions, vectors.dimensions))
    for _, block, norms in vectors.blocks(rows):
        units = block.astype(np.float64) / norms[:, None]
        total += units.sum(axis=0)
        products += units.T @ units
    mean = total / len(vectors)
    variances, components = np.linalg.eigh(products / len(vectors) - np.outer(mean, mean))
    axes = components[:, [-1, -2]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    found = np.empty((len(vectors), 2), np.float32)
    for part, block, norms in vectors.blocks(rows):
        found[part] = (block / norms[:, None] - mean) @ axes
    return found, variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)
