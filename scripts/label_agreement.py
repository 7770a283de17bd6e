"""Measure the agreement of labels: the category labeller with Cossim, and people (if they filled in a sheet) with all.

label_agreement.py --pool ROWS.parquet --category F --behaviour F [--embedding F --references F --reference-embedding F]
                   [--annotations SHEET.csv] --options JSON --out-csv F --out-md F

Options: study, synthetic, pool (its name).
"""

import argparse
import json
import sys

import pandas as pd

from ballast import schemas
from ballast.asking.judging import PARSED
from ballast.files import BallastError, write_csv, write_text
from ballast.labels.annotation import read_sheet
from ballast.picks import features
from ballast.picks.nearest import nearest_category
from ballast.results import agreement, notes
from ballast.study.artefacts import Options

NOTES = [
    "Kappa is Cohen's: 1 is perfect agreement, 0 is what chance gives; — where both give one and the same answer "
    "throughout. n is the number of rows that both answered.",
    "A row's category is the first that a labeller names; overlap is the share of rows for which the two share any "
    "category, or both name none. Cossim always names one category.",
]
SHEET = (
    "People filled in rows that are balanced over categories and behaviours, not drawn evenly from the pool: kappa is "
    "of those rows."
)


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    pool = schemas.read(arguments.pool, schemas.PAIRS)
    people = [agreement.by_people("human", read_sheet(arguments.annotations, pool))] if arguments.annotations else []
    categories = _labels(arguments.category, schemas.CATEGORIES, pool)
    judged = _labels(arguments.behaviour, schemas.BEHAVIOUR, pool)
    labeller = str(categories["labeller"].iloc[0])
    labellers = [*people, agreement.by_categories(labeller, categories)]
    if arguments.references and labeller != "cossim":
        labellers.append(agreement.by_categories("cossim", _cossim(arguments, pool)))
    if people:
        labellers.append(agreement.by_judge(str(judged["judge"].iloc[0]), judged))
    table = agreement.report(labellers)
    if table["second"].isna().all():
        raise BallastError(
            f"pool {options['pool']} has one labeller of categories only, so nothing can be compared; give references "
            "and labels.category: llm, or the path of a filled sheet as labels.annotations"
        )
    said = [*notes.synthetic(Options(options["study"], options["synthetic"])), *NOTES, *([SHEET] if people else [])]
    write_csv(arguments.out_csv, table)
    heading = f"Agreement of the labels of pool {options['pool']}"
    write_text(arguments.out_md, agreement.to_markdown(table, heading, said))
    overall = table[(table["label"] == agreement.ALL) & (table["other"] == agreement.ALL)]
    for row in overall.itertuples():
        print(f"{row.first} and {row.second}, {row.question}: kappa {row.kappa:.3f}, {row.n} rows", file=sys.stderr)


def _labels(path: str, schema, pool: pd.DataFrame) -> pd.DataFrame:
    labels = schemas.read(path, schema)
    if set(labels["id"]) != set(pool["id"]):
        raise BallastError(f"{path}: not the labels of this pool; delete the file and run again")
    return labels


def _cossim(arguments: argparse.Namespace, pool: pd.DataFrame) -> pd.DataFrame:
    known = features.load(
        embedding=arguments.embedding,
        references=arguments.references,
        reference_embedding=arguments.reference_embedding,
    )
    best = nearest_category(known.embedding, pool["id"], known.references)
    return pd.DataFrame({"id": pool["id"], "categories": [[int(category)] for category in best], "status": PARSED})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("pool", "category", "behaviour", "options", "out-csv", "out-md"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("embedding", "references", "reference-embedding", "annotations"):
        parser.add_argument(f"--{name}")
    main(parser.parse_args())
