"""Project the rows of a pool to a plane: the first two principal components of their unit embeddings.

plane.py --embedding EMBEDDING.arrow --out PLANE.parquet
"""

import argparse

import numpy as np
import pandas as pd

from ballast.files import write_parquet
from ballast.picks import vectors


def main(arguments: argparse.Namespace) -> None:
    embedding = vectors.read(arguments.embedding)
    found, explained = plane(embedding)
    table = pd.DataFrame({"id": embedding.ids, "x": found[:, 0], "y": found[:, 1]})
    write_parquet(arguments.out, table.assign(explained_x=explained[0], explained_y=explained[1]))


def plane(embedding: vectors.Vectors) -> tuple[np.ndarray, np.ndarray]:
    """Return coordinates, float32, rows x 2, and the share of the variance that each of the two explains.

    Each component's sign makes its largest weight positive, so the picture is never mirrored.
    """
    rows = np.arange(len(embedding))
    total, products = np.zeros(embedding.dimensions), np.zeros((embedding.dimensions, embedding.dimensions))
    for _, block, norms in embedding.blocks(rows):
        units = block / norms[:, None]
        total += units.sum(axis=0)
        products += units.T @ units
    mean = total / len(rows)
    variances, components = np.linalg.eigh(products / len(rows) - np.outer(mean, mean))
    axes = components[:, [-1, -2]]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), [0, 1]])
    found = np.empty((len(rows), 2), np.float32)
    for part, block, norms in embedding.blocks(rows):
        found[part] = (block / norms[:, None] - mean) @ axes
    return found, variances[[-1, -2]] / max(variances.sum(), np.finfo(float).tiny)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedding", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
