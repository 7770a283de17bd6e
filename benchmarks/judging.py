"""Count what judging each distinct pair once saves in a finished study: `python benchmarks/judging.py results/mini`.

It prints one line per judge: pairs in its score files, distinct pairs, and the share saved. Canaries, which
are in every job and judged once per study, are left out.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd


def judged(folder: Path) -> pd.DataFrame:
    """Return judge, prompt and response of every score in a study's results folder."""
    tables = []
    for path in sorted(folder.glob("runs/**/scores/*.parquet")):
        benchmark, judge = path.stem.split(".", 1)
        responses = path.parents[1] / "responses.parquet"
        if not responses.is_file():
            sys.exit(f"{responses}: no such file; make the study again, or wait until it is made")
        said = pd.read_parquet(responses, columns=["benchmark", "id", "prompt", "response"])
        said = said[said["benchmark"] == benchmark]
        scores = pd.read_parquet(path, columns=["prompt_id"])
        pairs = scores.merge(said, left_on="prompt_id", right_on="id", validate="one_to_one")
        tables.append(pairs[["prompt", "response"]].assign(judge=judge))
    if not tables:
        sys.exit(f"{folder}: no scores here; give the results folder of a finished study")
    return pd.concat(tables, ignore_index=True)


def savings(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return pairs, distinct and saved (a share, 0 to 1), by judge and in total."""
    counts = pd.DataFrame(
        {
            "pairs": pairs.groupby("judge").size(),
            "distinct": pairs.drop_duplicates().groupby("judge").size(),
        }
    )
    counts.loc["total"] = counts.sum()
    return counts.assign(saved=1 - counts["distinct"] / counts["pairs"])


def main(arguments: list[str] | None = None) -> pd.DataFrame:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    table = savings(judged(parser.parse_args(arguments).results))
    print(table.to_string(formatters={"saved": "{:.1%}".format}))
    return table


if __name__ == "__main__":
    main()
