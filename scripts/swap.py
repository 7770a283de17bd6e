"""Write the subset of a pool that has the requests of another pool's subset, with this pool's responses.

swap.py --subset SUBSET.csv --picked-from ROWS.parquet --pool ROWS.parquet --out SUBSET.csv
        --out-rows ROWS.parquet
"""

import argparse
import sys

import pandas as pd

from ballast import schemas
from ballast.data import requests, rows
from ballast.files import BallastError, write_csv


def main(arguments: argparse.Namespace) -> None:
    picked = pd.read_csv(arguments.subset, dtype={"id": str, "category": "Int8"})
    there, here = (schemas.read(path, schemas.PAIRS) for path in (arguments.picked_from, arguments.pool))
    try:
        ids = requests.counterparts(picked["id"].tolist(), there, here)
    except BallastError as error:
        raise BallastError(f"{arguments.pool}: {error}") from None
    same = sum(one == other for one, other in zip(picked["id"], ids, strict=True))
    rows.write_picked(arguments.out_rows, arguments.pool, ids)
    write_csv(arguments.out, picked.assign(id=ids))
    print(f"{len(ids)} requests, {same} with the same response in both pools", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subset", required=True)
    parser.add_argument("--picked-from", required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--out-rows", required=True)
    main(parser.parse_args())
