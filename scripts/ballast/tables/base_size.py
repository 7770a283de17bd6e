"""Show harm by the size of the base data, beyond the paper: each sampler at each n on shares of the same rows."""

import re
from collections.abc import Sequence

import pandas as pd

from ballast.markup import MISSING, Cell, Table, with_interval
from ballast.names import AS_IS, NONE, in_order, short_label
from ballast.results import metrics, notes
from ballast.study.artefacts import Options

EXPERIMENT = "base_size"
METRICS = ("harm",)
ONE = ("models", "pools")
# A method's name: a sampler, and the percent of the base data where it is not all of it.
PART = re.compile(r"(.+?)(?:-base([0-9]+))?")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return harm by sampler and n (rows) and percent of the base data (columns)."""
    data = by_share(options, paths, "the table of base sizes")
    percents = shares(options)
    grid = data.set_index(["sampler", "n", "percent"])
    rows = [
        (name, n) for name in in_order(data["sampler"]) for n in sorted(set(data.loc[data["sampler"] == name, "n"]))
    ]
    body = [
        [Cell(short_label(name)), Cell(MISSING if name == NONE else str(n))]
        + [_cell(grid, (name, n, percent)) for percent in percents]
        for name, n in rows
    ]
    caption = (
        f"Harm of {options.model_label(options.experiment.models[0])} by the share of the base data that it was "
        f"fine-tuned on ({metrics.metric('harm', options).mean_of}; lower is better)."
    )
    said = [
        "The rows of a smaller share are a part of those of a larger one; all samplers of a trial share them. Epochs "
        "are the same, so fewer rows are fewer steps, and n safety examples are a larger share of them.",
        f"{notes.mark(options)}: 95 % interval of the two-way bootstrap over runs and prompts.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    header = ["Sampler", "n", *(f"{percent} %" for percent in percents)]
    data = metrics.long_form(data, ["sampler", "n", "percent"])
    return Table("Base size", caption, header, body, said, data, ["l", "c", *"c" * len(percents)])


def by_share(options: Options, paths: Sequence[str], about: str) -> pd.DataFrame:
    """Return the cells of harm by sampler and `percent`, the share of the base data; `about` stands in an error."""
    cells = metrics.cells_of(metrics.read_scores(paths), "harm", options)
    metrics.require_cells(cells, paths[0], about)
    data = cells[cells["sampler"] != AS_IS]
    parts = [PART.fullmatch(name).groups() for name in data["sampler"]]
    data = data.assign(sampler=[name for name, _ in parts], percent=[int(share or 100) for _, share in parts])
    return data[data["percent"].isin(shares(options))]


def shares(options: Options) -> list[int]:
    """Return the shares of the base data that the experiment names, in percent, ascending."""
    return sorted({int(PART.fullmatch(name)[2] or 100) for name in options.experiment.samplers})


def _cell(grid: pd.DataFrame, key: tuple) -> Cell:
    if key not in grid.index:
        return Cell(MISSING)
    row = grid.loc[key]
    return Cell(with_interval(row["mean"], row["low_two_way"], row["high_two_way"]))
