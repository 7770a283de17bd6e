"""Score each row of the base data with one filter, and keep the best share.

filter.py --filter NAME --model DIR --base ROWS.parquet [--subset ROWS.parquet] --seed S
          --options JSON [a feature's file by its name...] --out KEPT.csv

The file has one row per row of the base data (id, score, kept), by id; ties in score go by id too.
"""

import argparse
import json
import math
import sys

import pandas as pd

from ballast import plugins, schemas
from ballast.files import BallastError, write_csv
from ballast.picks import features


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    base = schemas.read(arguments.base, schemas.PAIRS)
    safety = schemas.read(arguments.subset, schemas.PAIRS) if arguments.subset else None
    known = features.from_arguments(arguments)
    scorer = plugins.load("filters", arguments.filter)
    scores = scorer.score(arguments.model, base, safety, known, options, arguments.seed)
    write_csv(arguments.out, kept(scores, base["id"], options["keep"]))


def kept(scores: pd.Series, ids: pd.Series, share: float) -> pd.DataFrame:
    """Return id, score and kept (1 or 0), by id; the `share` of rows with the highest scores is kept, ties by id."""
    if not 0 < share <= 1:
        raise BallastError(f"keep: a share above 0 and up to 1 is wanted, got {share}")
    table = pd.DataFrame({"id": ids, "score": scores.reindex(ids).to_numpy()})
    odd = ~table["score"].map(math.isfinite)
    if odd.any():
        raise BallastError(f"row {table['id'][odd].iloc[0]} has the score {table['score'][odd].iloc[0]}, no number")
    ranked = table.sort_values(["score", "id"], ascending=[False, True])
    ranked["kept"] = [int(rank < max(1, round(share * len(ranked)))) for rank in range(len(ranked))]
    print(f"{ranked['kept'].sum()} of {len(ranked)} rows of the base data are kept", file=sys.stderr)
    return ranked.sort_values("id", ignore_index=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("filter", "model", "base", "options", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--subset")
    parser.add_argument("--seed", type=int, required=True)
    features.add_arguments(parser)
    main(parser.parse_args())
