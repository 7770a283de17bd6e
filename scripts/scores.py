"""Gather every run's scores in one table, the only fan-in of a study.

    scores.py --results DIR --options JSON --out SCORES.parquet

`options`: runs (run path -> its metrics) and metrics (name -> benchmark, judge). Tables and figures read nothing else
about a run.
"""

import argparse
import json

import pandas as pd

from ballast import schemas
from ballast.files import read_parquet
from ballast.study.runs import from_path


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    parts = []
    for run, names in options["runs"].items():
        responses = read_parquet(f"{arguments.results}/runs/{run}/responses.parquet")
        for name in names:
            metric = options["metrics"][name]
            parts.append(run_scores(f"{arguments.results}/runs", run, responses, metric["benchmark"], metric["judge"]))
    schemas.write(arguments.out, pd.concat(parts, ignore_index=True), schemas.SCORES)


def run_scores(folder: str, run: str, responses: pd.DataFrame, benchmark: str, judge: str) -> pd.DataFrame:
    """Return one run's scores on one benchmark, in the columns of schemas.SCORES."""
    judged = read_parquet(f"{folder}/{run}/scores/{benchmark}.{judge}.parquet")
    answered = responses[responses["benchmark"] == benchmark]
    table = judged.merge(answered, left_on="prompt_id", right_on="id", validate="one_to_one")
    key = from_path(run)
    table = table.assign(
        model=key.model,
        pool=key.pool,
        sampler=key.sampler,
        n=key.n,
        trial=key.trial,
        benchmark=benchmark,
        judge=judge,
    )
    return table[list(schemas.SCORES.columns)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
