"""Embed every pair of a pool or of the references with the study's sentence encoder.

embed.py --pairs ROWS.parquet --model minilm|DIR --batch-size N --out EMBEDDING.parquet
"""

import argparse

import pandas as pd

from ballast import schemas
from ballast.embedding import embed
from ballast.files import read_parquet
from ballast.rows import pair_text


def main(arguments: argparse.Namespace) -> None:
    pairs = read_parquet(arguments.pairs)
    vectors = embed(arguments.model, [pair_text(row) for row in pairs.itertuples()], arguments.batch_size)
    table = pd.DataFrame({"id": pairs["id"], "embedding": list(vectors)})
    schemas.write(arguments.out, table, schemas.EMBEDDING)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
