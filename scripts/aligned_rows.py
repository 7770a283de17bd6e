"""Draw the rows that a model's aligned start learns, from pools and base data.

aligned_rows.py --datasets JSON --seed S --out ROWS.parquet

`--datasets`: a list with each dataset's place in the config, path, format, columns, where, unreadable, the wanted
numbers of rows by behaviour, and the most characters of a row.
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.data import reading, start_rows


def main(arguments: argparse.Namespace) -> None:
    parts = []
    for dataset in json.loads(arguments.datasets):
        place, wanted, longest = (dataset.pop(key) for key in ("place", "wanted", "longest"))
        rows = start_rows.draw(reading.read(**dataset), place, wanted, arguments.seed, longest)
        print(f"{place}: {len(rows)} rows of {dataset['path']}", file=sys.stderr)
        parts.append(rows)
    # Pool and base data may share a row, and ids are unique.
    table = pd.concat(parts, ignore_index=True).drop_duplicates("id", ignore_index=True)
    schemas.write(arguments.out, table, schemas.PAIRS)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--datasets", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
