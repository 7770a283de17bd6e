"""Compare judges with people who labelled drawn responses, and correct metrics and contrasts for the judges' errors.

people.py --options JSON --scores SCORES.parquet... --key KEY.csv --annotations NAME=SHEET.csv... --out-csv F --out-md F

Options: study, synthetic, metrics as response_sheet.py has them, stand_ins (sentences by judge), before (a model).
"""

import argparse
import json
import sys

import numpy as np
import pandas as pd

from ballast.files import BallastError, write_csv, write_text
from ballast.labels import responses
from ballast.labels.responses import UNIT
from ballast.results import metrics, notes
from ballast.results.people_page import document
from ballast.study.artefacts import Options


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    units = responses.population(metrics.read_scores(arguments.scores), options["metrics"])
    key = responses.read_key(arguments.key)
    _same_responses(arguments.key, key, units)
    answers = responses.read_sheets([tuple(one.split("=", 1)) for one in arguments.annotations], key)
    judges = {name: section["judge"] for name, section in options["metrics"].items() if (key["metric"] == name).any()}
    said = notes.synthetic(Options(options["study"], options["synthetic"]))
    said += [options["stand_ins"][judge] for judge in dict.fromkeys(judges.values()) if judge in options["stand_ins"]]
    heading = f"People's labels of the responses of {options['study']}"
    page = document(heading, said, units, key, answers, judges, options.get("before"))
    write_csv(arguments.out_csv, page.data)
    write_text(arguments.out_md, "\n\n".join(page.parts) + "\n")
    for row in responses.counts(answers):
        print(", ".join(f"{kind} {count}" for kind, count in row.items()), file=sys.stderr)


def _same_responses(path: str, key: pd.DataFrame, units: pd.DataFrame) -> None:
    """Raise BallastError if a unit of the key is none of the study's, or has another score."""
    now = key[UNIT].merge(units[[*UNIT, "score"]], on=UNIT, how="left", indicator="there")
    same = np.isclose(key["score"], now["score"], atol=1e-5, equal_nan=True) & (now["there"] == "both")
    if not same.all():
        raise BallastError(
            f"{path}: row {int(same.argmin()) + 2}: the study has no such response with this score "
            f"({int((~same).sum())} of {len(key)} rows); responses or scores have changed, so draw the sheet again"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "key", "out-csv", "out-md"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    parser.add_argument("--annotations", nargs="+", required=True, metavar="NAME=FILE")
    main(parser.parse_args())
