"""Judge the responses of one run to one benchmark.

judge.py --judge NAME --options JSON [--canaries FILE] [--store DIR] --benchmark NAME
         --responses RESPONSES.parquet --out JUDGED.parquet
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.asking.judging import judge_pairs


def main(arguments: argparse.Namespace) -> None:
    responses = schemas.read(arguments.responses, schemas.RESPONSES)
    responses = responses[responses["benchmark"] == arguments.benchmark]
    options = json.loads(arguments.options) | {"store": arguments.store}
    scores = judge_pairs(arguments.judge, responses, options, arguments.canaries)
    schemas.write(arguments.out, pd.concat([responses["id"].rename("prompt_id"), scores], axis=1), schemas.JUDGED)
    counts = scores["answer_status"].value_counts().sort_index().to_dict()
    print(f"{len(scores)} responses to {arguments.benchmark} by {arguments.judge}: {counts}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--canaries")
    parser.add_argument("--store", help="folder of what models said, here and in earlier jobs")
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--responses", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
