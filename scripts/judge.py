"""Judge the responses of one run to one benchmark.

judge.py --judge NAME --options JSON [--canaries FILE] --responses RESPONSES.parquet --out JUDGED.parquet
"""

import argparse
import json

import pandas as pd

from ballast import schemas
from ballast.judging import judge_pairs


def main(arguments: argparse.Namespace) -> None:
    responses = schemas.read(arguments.responses, schemas.RESPONSES)
    scores = judge_pairs(arguments.judge, responses, json.loads(arguments.options), arguments.canaries)
    status = scores["score"].isna().map({True: "unparsable", False: "parsed"})
    table = pd.concat([responses["id"].rename("prompt_id"), scores.assign(answer_status=status)], axis=1)
    schemas.write(arguments.out, table, schemas.JUDGED)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--canaries")
    parser.add_argument("--responses", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
