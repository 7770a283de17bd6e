"""Embed every pair of a pool or of the references with the study's sentence encoder.

embed.py --pairs ROWS.parquet --model minilm|DIR --batch-size N [--reads LANGUAGES] --out EMBEDDING.arrow
"""

import argparse
import json
import sys

from ballast.data import languages
from ballast.data.rows import pair_text
from ballast.files import read_parquet
from ballast.picks import vectors
from ballast.picks.embedding import embed

INSTEAD = (
    "so their cosines would mean nothing: name a multilingual encoder (docs/own-data.md has one) and state "
    "embedding.languages, or set labels.other_languages to keep"
)


def main(arguments: argparse.Namespace) -> None:
    pairs = read_parquet(arguments.pairs)
    texts = [pair_text(row) for row in pairs.itertuples()]
    if arguments.reads:
        said = languages.check(texts, json.loads(arguments.reads), arguments.pairs, "embedding.model", INSTEAD)
        print(said, file=sys.stderr)
    matrix = embed(arguments.model, texts, arguments.batch_size)
    vectors.write(arguments.out, pairs["id"], matrix)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--reads", help="JSON list of the languages that the encoder reads; without it, any")
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
