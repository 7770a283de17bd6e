"""Compare the gradients of the pool's rows with the measured effect of runs on such rows: page, table, figure.

    gradient_report.py --options JSON --scores SCORES.parquet --picked JSON [a feature's file by its name...]
        --out-md F --out-csv F --out-pdf F --out-svg F --out-png F --out-data F

`--picked` lists the subsets of each sampler's and n's runs: [[sampler, n, [file...]]...]. `--out-csv` has one line per
row of the pool. `--out-data` is the figure's CSV: the groups with their effects.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from ballast.files import write_csv, write_text
from ballast.picks import features
from ballast.results import gradients, gradients_figure, gradients_page
from ballast.results.metrics import read_scores
from ballast.results.style import METADATA, save, styled
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    options = parse_options("gradients", arguments.options)
    picked = {
        (sampler, n): {Path(file).stem: pd.read_csv(file, dtype={"id": str})["id"].tolist() for file in files}
        for sampler, n, files in json.loads(arguments.picked)
    }
    known = features.from_arguments(arguments)
    found = gradients.report(options, known, read_scores(arguments.scores), picked)
    write_text(arguments.out_md, gradients_page.to_markdown(found, options))
    write_csv(arguments.out_csv, found.rows)
    with styled():
        drawn = gradients_figure.draw(found, options)
    for kind in METADATA:
        save(drawn.figure, getattr(arguments, f"out_{kind}"), kind)
    write_csv(arguments.out_data, drawn.data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--scores", required=True)
    parser.add_argument("--picked", required=True)
    features.add_arguments(parser)
    for kind in ("md", "csv", *METADATA, "data"):
        parser.add_argument(f"--out-{kind}", required=True)
    main(parser.parse_args())
