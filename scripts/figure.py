"""Draw one of the figures (ballast/figures/): PDF, SVG, PNG, and the numbers in it as CSV.

    figure.py --name NAME --options JSON --inputs FILE... --out-pdf F --out-svg F --out-png F --out-csv F

Inputs: the files that the figure declares in READS, scores.parquet by default.
"""

import argparse

from ballast import plugins
from ballast.files import write_csv
from ballast.results.style import METADATA, save, styled
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    options = parse_options(f"figures/{arguments.name}", arguments.options)
    with styled():
        drawn = plugins.load("figures", arguments.name).draw(options, arguments.inputs)
    for kind in METADATA:
        save(drawn.figure, getattr(arguments, f"out_{kind}"), kind)
    write_csv(arguments.out_csv, drawn.data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", choices=plugins.names("figures"), required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--inputs", nargs="+", required=True)
    for kind in (*METADATA, "csv"):
        parser.add_argument(f"--out-{kind}", required=True)
    main(parser.parse_args())
