"""Embeddings for tests: features of matrices, without files."""

import numpy as np

from ballast.picks.nearest import mean_units, one_hot
from ballast.picks.vectors import in_memory


def reference_means(categories, matrix: np.ndarray) -> np.ndarray:
    """What `features.load` makes of references: category ids and their embeddings, one a row."""
    ids = [str(number) for number in range(len(matrix))]
    return mean_units(in_memory(ids, matrix), ids, one_hot(np.asarray(categories)))
