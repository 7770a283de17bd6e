"""Compare one run's responses to a benchmark with another run's.

pairwise.py --name NAME --options JSON [--store DIR] --benchmark NAME
            --ours FILE.parquet --theirs FILE.parquet --out COMPARED.parquet

`options`: by (llm, scores) and its settings. The files are both runs' responses, or both runs' scores by one judge.
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.asking.pairwise import compare, compare_scores
from ballast.files import BallastError


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options) | {"store": arguments.store}
    if options["by"] == "llm":
        ours, theirs = (answered(path, arguments.benchmark) for path in (arguments.ours, arguments.theirs))
        pairs = ours[["prompt", "response"]].assign(other=in_turn(ours, theirs, arguments)["response"])
        table = compare(arguments.name, pairs, options)
    else:
        ours, theirs = (
            schemas.read(path, schemas.JUDGED).set_index("prompt_id") for path in (arguments.ours, arguments.theirs)
        )
        table = compare_scores(ours, in_turn(ours, theirs, arguments), options["direction"])
    schemas.write(arguments.out, table.rename_axis("prompt_id").reset_index(), schemas.COMPARED)
    score, disagree = table["score"].mean(), (table["first"] != table["second"])[table["score"].notna()].mean()
    counts = table["answer_status"].value_counts().sort_index().to_dict()
    print(
        f"{arguments.name} on {arguments.benchmark}: win rate {100 * score:.1f} %, "
        f"the orders disagree on {100 * disagree:.1f} %; {counts}",
        file=sys.stderr,
    )


def answered(path: str, benchmark: str) -> pd.DataFrame:
    responses = schemas.read(path, schemas.RESPONSES)
    return responses[responses["benchmark"] == benchmark].set_index("id")


def in_turn(ours: pd.DataFrame, theirs: pd.DataFrame, arguments: argparse.Namespace) -> pd.DataFrame:
    """Return their rows in the order of ours; both must have the same prompts."""
    if set(ours.index) != set(theirs.index):
        raise BallastError(
            f"{arguments.theirs}: other prompts of {arguments.benchmark} than in {arguments.ours}; run the study again"
        )
    return theirs.loc[ours.index]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--store", help="folder of what models said, here and in earlier jobs")
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--theirs", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
