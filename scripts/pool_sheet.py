"""Write the sheet in which people check the labels of a pool's rows, and a guide for them.

pool_sheet.py --pool ROWS.parquet --category F --behaviour F --rows N --seed S --out-sheet CSV --out-guide TXT
"""

import argparse
import sys

import pandas as pd

from ballast import schemas
from ballast.labels.annotation import draw, write_guide, write_sheet
from ballast.picks import features


def main(arguments: argparse.Namespace) -> None:
    pool = schemas.read(arguments.pool, schemas.PAIRS)
    labels = features.load(behaviour=arguments.behaviour, category=arguments.category)
    ids = draw(labels.categories, labels.behaviour, arguments.rows, arguments.seed)
    write_sheet(arguments.out_sheet, pool, ids)
    write_guide(arguments.out_guide)
    drawn = pd.Series([next(iter(labels.categories[row]), "none") for row in ids]).value_counts()
    behaviours = labels.behaviour[ids].value_counts().sort_index().to_dict()
    print(
        f"{len(ids)} of {len(pool)} rows, {drawn.min()} to {drawn.max()} of each of {len(drawn)} first categories "
        f"(none is one), behaviours {behaviours}",
        file=sys.stderr,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pool", "category", "behaviour", "out-sheet", "out-guide"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    main(parser.parse_args())
