"""Compare Table 1, 2 or 4 of a study with the paper's, cell by cell.

comparison.py --number N --options JSON --scores SCORES.parquet... --published TABLES.csv --out-csv F --out-md F
"""

import argparse

from ballast.files import write_csv, write_text
from ballast.published import tables
from ballast.results.comparison import compare, to_markdown
from ballast.results.metrics import read_scores
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    options = parse_options(f"comparison-{arguments.number}", arguments.options)
    table = compare(arguments.number, options, tables.read(arguments.published), read_scores(arguments.scores))
    write_csv(arguments.out_csv, table)
    write_text(arguments.out_md, to_markdown(arguments.number, table, options))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, choices=(1, 2, 4), required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    for name in ("options", "published", "out-csv", "out-md"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
