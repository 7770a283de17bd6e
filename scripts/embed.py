"""Embed every pair of a pool or of the references with the study's sentence encoder.

embed.py --pairs ROWS.parquet --model minilm|DIR --batch-size N --out EMBEDDING.arrow
"""

import argparse

from ballast.data.rows import pair_text
from ballast.files import read_parquet
from ballast.picks import vectors
from ballast.picks.embedding import embed


def main(arguments: argparse.Namespace) -> None:
    pairs = read_parquet(arguments.pairs)
    matrix = embed(arguments.model, [pair_text(row) for row in pairs.itertuples()], arguments.batch_size)
    vectors.write(arguments.out, pairs["id"], matrix)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
