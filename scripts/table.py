"""Write one of the tables (ballast/tables/): CSV in long form, Markdown and LaTeX.

    table.py --name NAME --options JSON --inputs FILE... --out-csv F --out-md F --out-tex F

Inputs: the files that the table declares in READS, scores.parquet by default.
"""

import argparse

from ballast import plugins
from ballast.files import write_csv, write_text
from ballast.markup import to_markdown, to_tex
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    options = parse_options(f"tables/{arguments.name}", arguments.options)
    table = plugins.load("tables", arguments.name).table(options, arguments.inputs)
    write_csv(arguments.out_csv, table.data)
    write_text(arguments.out_md, to_markdown(table))
    write_text(arguments.out_tex, to_tex(table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", choices=plugins.names("tables"), required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--inputs", nargs="+", required=True)
    for kind in ("csv", "md", "tex"):
        parser.add_argument(f"--out-{kind}", required=True)
    main(parser.parse_args())
