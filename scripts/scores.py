"""Gather every run's scores in one table, the only fan-in of a study.

    scores.py --results DIR --options JSON --out SCORES.parquet

`options`: runs (run paths) and metrics (name -> benchmark, judge). Tables and figures read nothing else of a run.
"""

import argparse
import json

import pandas as pd

from ballast import schemas
from ballast.files import read_parquet
from ballast.runs import from_path


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    parts = [
        run_scores(f"{arguments.results}/runs", run, metric["benchmark"], metric["judge"])
        for run in options["runs"]
        for metric in options["metrics"].values()
    ]
    schemas.write(arguments.out, pd.concat(parts, ignore_index=True), schemas.SCORES)


def run_scores(folder: str, run: str, benchmark: str, judge: str) -> pd.DataFrame:
    """One run's scores on one benchmark, in the columns of schemas.SCORES."""
    responses = read_parquet(f"{folder}/{run}/responses/{benchmark}.parquet")
    judged = read_parquet(f"{folder}/{run}/scores/{benchmark}.{judge}.parquet")
    table = judged.merge(responses, left_on="prompt_id", right_on="id", validate="one_to_one")
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
