"""Compare the gradients of the pool's rows with the measured effect of runs on such rows: page, table, figure.

    gradient_report.py --options JSON --scores SCORES.parquet --picked JSON [--swapping JSON]
        [a feature's file by its name...]
        --out-md F --out-csv F --out-pdf F --out-svg F --out-png F --out-data F

`--picked` lists the subsets of each sampler's and n's runs: [[sampler, n, [file...]]...]. `--out-csv` has one line per
row of the pool. `--swapping` describes the experiment swapping: options, pools (rows and features) and subsets as in
`--picked`. `--out-data` is the figure's CSV: the groups with their effects.
"""

import argparse
import json
from pathlib import Path

import pandas as pd

from ballast import schemas
from ballast.files import write_csv, write_text
from ballast.picks import features
from ballast.results import gradients, gradients_figure, gradients_page, swapping
from ballast.results.metrics import read_scores
from ballast.results.style import METADATA, save, styled
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    options = parse_options("gradients", arguments.options)
    scores = read_scores(arguments.scores)
    known = features.from_arguments(arguments)
    found = gradients.report(options, known, scores, read_picked(json.loads(arguments.picked)))
    swapped = compare_pools(json.loads(arguments.swapping), scores) if arguments.swapping else None
    write_text(arguments.out_md, gradients_page.to_markdown(found, options, swapped))
    write_csv(arguments.out_csv, found.rows)
    with styled():
        drawn = gradients_figure.draw(found, options)
    for kind in METADATA:
        save(drawn.figure, getattr(arguments, f"out_{kind}"), kind)
    write_csv(arguments.out_data, drawn.data)


def read_picked(subsets: list[list]) -> gradients.Picked:
    """Return the ids of each sampler's and n's subsets, by trial."""
    return {
        (sampler, n): {Path(file).stem: pd.read_csv(file, dtype={"id": str})["id"].tolist() for file in files}
        for sampler, n, files in subsets
    }


def compare_pools(given: dict, scores: pd.DataFrame) -> swapping.Swapped:
    pools = []
    for files in given["pools"]:
        rows = schemas.read(files.pop("rows"), schemas.PAIRS)
        known = features.load(**{name.replace("-", "_"): file for name, file in files.items()})
        pools.append(swapping.Pool(rows, known))
    options = parse_options("swapping", json.dumps(given["options"]))
    return swapping.compare(options, *pools, scores, read_picked(given["subsets"]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--scores", required=True)
    parser.add_argument("--picked", required=True)
    parser.add_argument("--swapping")
    features.add_arguments(parser)
    for kind in ("md", "csv", *METADATA, "data"):
        parser.add_argument(f"--out-{kind}", required=True)
    main(parser.parse_args())
