"""Draw responses of the study's runs, and write the sheet in which people judge them, its key and a guide.

response_sheet.py --results DIR --options JSON --scores SCORES.parquet... --rows N --seed S
                  --out-sheet CSV --out-key CSV --out-guide TXT

Options: metrics, by name (benchmark, judge, what the judge declares, second judges).
"""

import argparse
import json
import sys

import pandas as pd

from ballast.asking import thinking
from ballast.files import BallastError, read_arrow
from ballast.labels import responses
from ballast.names import AS_IS
from ballast.results import metrics
from ballast.results.metrics import RUN
from ballast.study.runs import Run, as_is_path


def main(arguments: argparse.Namespace) -> None:
    sections = json.loads(arguments.options)["metrics"]
    units = responses.population(metrics.read_scores(arguments.scores), sections)
    if units.empty:
        raise BallastError(f"{arguments.scores[0]}: no response to label; measure {', '.join(sections)} of some run")
    drawn = responses.draw(units, arguments.rows, arguments.seed)
    drawn = responses.with_texts(drawn, _texts(arguments.results, drawn))
    responses.write(arguments.out_sheet, arguments.out_key, arguments.out_guide, drawn, arguments.seed)
    for name, part in drawn.groupby("metric", sort=False):
        every, unread = units[units["metric"] == name], int((part["band"] == responses.UNREAD).sum())
        print(
            f"{name}: {len(part)} of {len(every)} responses drawn from {part['stratum'].nunique()} strata, "
            f"{part['id'].nunique()} different rows, {unread} without a judge's score",
            file=sys.stderr,
        )


def _texts(results: str, drawn: pd.DataFrame) -> pd.DataFrame:
    """Return the texts of the drawn units' runs; one run's file is in memory at a time."""
    parts, columns = [], ["benchmark", "id", "prompt", "response"]
    for key, part in drawn.groupby(RUN):
        run = Run(*key)
        folder = as_is_path(run.model) if run.sampler == AS_IS else run.path
        table = read_arrow(f"{results}/runs/{folder}/responses.parquet", columns).to_pandas()
        table = table[table["id"].isin(part["prompt_id"])].rename(columns={"id": "prompt_id"})
        shown = [thinking.answer(text) or text for text in table["response"]]  # as the judges read it
        parts.append(table.assign(**dict(zip(RUN, key, strict=True)), response=shown))
    return pd.concat(parts, ignore_index=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("results", "options", "out-sheet", "out-key", "out-guide"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    main(parser.parse_args())
