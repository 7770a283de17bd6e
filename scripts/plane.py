"""Put the rows of a pool into a plane.

plane.py --embedding EMBEDDING.arrow --out PLANE.parquet
"""

import argparse

import numpy as np
import pandas as pd

from ballast.files import write_parquet
from ballast.picks import vectors
from ballast.plane import plane


def main(arguments: argparse.Namespace) -> None:
    embedding = vectors.read(arguments.embedding)
    found, explained = plane(embedding)
    ids = embedding.names(np.arange(len(embedding)))
    table = pd.DataFrame({"id": ids, "x": found[:, 0], "y": found[:, 1]})
    write_parquet(arguments.out, table.assign(explained_x=explained[0], explained_y=explained[1]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedding", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
