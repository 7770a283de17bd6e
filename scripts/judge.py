"""Judge the responses of one run to one benchmark.

judge.py --judge NAME --options JSON [--canaries FILE] [--store DIR] --benchmark NAME
         [--about TAG --rows BENCHMARK.parquet] --responses RESPONSES.parquet --out JUDGED.parquet

With `--about`, the judge reads this tag of the benchmark's rows instead of the prompt, such as the question behind an
attack.
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.asking.judging import judge_pairs
from ballast.files import BallastError


def main(arguments: argparse.Namespace) -> None:
    responses = schemas.read(arguments.responses, schemas.RESPONSES)
    responses = responses[responses["benchmark"] == arguments.benchmark]
    if responses.empty:
        said = f"it has no response to {arguments.benchmark}; name the metric of {arguments.judge} in an experiment"
        raise BallastError(f"{arguments.responses}: {said} with this run")
    if arguments.about:
        responses = responses.assign(prompt=tagged(responses["id"], arguments.rows, arguments.about))
    options = json.loads(arguments.options) | {"store": arguments.store}
    scores = judge_pairs(arguments.judge, responses, options, arguments.canaries)
    schemas.write(arguments.out, pd.concat([responses["id"].rename("prompt_id"), scores], axis=1), schemas.JUDGED)
    counts = scores["answer_status"].value_counts().sort_index().to_dict()
    print(f"{len(scores)} responses to {arguments.benchmark} by {arguments.judge}: {counts}", file=sys.stderr)


def tagged(ids: pd.Series, rows: str, tag: str) -> pd.Series:
    """Return a benchmark's tag by the ids of its prompts. Raises BallastError if a prompt has none."""
    table = schemas.read(rows, schemas.BENCHMARK)
    if "tags" not in table:
        raise BallastError(f"{rows}: its rows have no tags; name '{tag}' in the benchmark's `tags`")
    values = dict(zip(table["id"], (json.loads(text).get(tag) for text in table["tags"]), strict=True))
    found = ids.map(values)
    if found.isna().any():
        known = ", ".join(json.loads(table["tags"].iloc[0]))
        raise BallastError(f"{rows}: prompt {ids[found.isna()].iloc[0]} has no '{tag}' (tags: {known})")
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--canaries")
    parser.add_argument("--about")
    parser.add_argument("--rows")
    parser.add_argument("--store", help="folder of what models said, here and in earlier jobs")
    parser.add_argument("--benchmark", required=True)
    parser.add_argument("--responses", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
