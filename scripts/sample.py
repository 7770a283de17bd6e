"""Pick n rows of a pool with one sampler.

sample.py --sampler NAME [--among T1] --n N --seed S --options JSON --pool ROWS.parquet
          [a feature's file by its name...] --out SUBSET.csv --out-rows ROWS.parquet
"""

import argparse
import json
import sys

import pandas as pd

from ballast import plugins, schemas
from ballast.data import rows
from ballast.files import BallastError, write_csv
from ballast.picks import features
from ballast.picks.selection import pick


def main(arguments: argparse.Namespace) -> None:
    pool = schemas.read_columns(arguments.pool, schemas.IDS)
    known = features.from_arguments(arguments)
    sampler = plugins.load("samplers", arguments.sampler)
    try:
        options = json.loads(arguments.options)
        picked = pick(sampler, pool, known, arguments.n, arguments.seed, options, arguments.among)
    except BallastError as error:
        among = f" among {arguments.among}" if arguments.among else ""
        raise BallastError(f"{arguments.pool}: sampler {arguments.sampler}{among}: {error}") from None
    ranks = range(1, len(picked.ids) + 1)
    table = pd.DataFrame({"rank": ranks, "id": picked.ids, "category": picked.categories})
    rows.write_picked(arguments.out_rows, arguments.pool, picked.ids)
    write_csv(arguments.out, table.astype({"rank": int, "id": str, "category": "Int8"}))
    for category, lacking in picked.shortfall.items():
        print(f"category {category} is {lacking} short of an even share; the others filled in", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", required=True)
    parser.add_argument("--among", help="behaviour of the rows to pick from; all rows without it")
    parser.add_argument("--n", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--pool", required=True)
    features.add_arguments(parser)
    parser.add_argument("--out", required=True)
    parser.add_argument("--out-rows", required=True)
    main(parser.parse_args())
