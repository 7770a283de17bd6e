"""Check the claims of the publications against the published tables and a study's scores.

claims.py --options JSON --scores SCORES.parquet --published TABLES.csv --out-csv F --out-md F

Options: those of each of the study's experiments, by name.
"""

import argparse

from ballast.claims import page
from ballast.files import write_csv, write_text
from ballast.published import tables
from ballast.results.metrics import read_scores


def main(arguments: argparse.Namespace) -> None:
    options = page.experiments(arguments.options)
    printed = page.published(tables.read(arguments.published))
    ours = page.measured(read_scores(arguments.scores), options)
    write_csv(arguments.out_csv, page.table(printed, ours))
    write_text(arguments.out_md, page.page(printed, ours, options))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "scores", "published", "out-csv", "out-md"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
