"""Show harm by category, beyond the paper, and the category in which a sampler does worst."""

from collections.abc import Sequence

import pandas as pd

from ballast.categories import title
from ballast.markup import MISSING, Cell, Table, with_interval
from ballast.names import REFERENCES, short_label
from ballast.results import metrics, notes, statistics
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm",)
ONE = ("models", "pools")
SHOWN = ["mean", *metrics.TWO_WAY[:2]]


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return harm by category (columns), sampler and n (rows), and the worst category with its interval."""
    scores = metrics.read_scores(paths)
    metrics.require_cells(metrics.cells_measured(scores, "harm", options), paths[0], "the table of categories")
    data = metrics.by_category(scores, "harm", options)
    present = sorted(data["category"].unique())
    body = []
    for (sampler, n), rows in data.groupby(["sampler", "n"], sort=False):
        row = rows.set_index("category")
        cells = [_cell(row.loc[each]) if each in row.index else Cell(MISSING) for each in present]
        worst = rows[rows["worst"]].iloc[0]
        body.append(
            [Cell(short_label(sampler)), Cell(str(n) if sampler not in REFERENCES else MISSING), *cells]
            + [Cell(f"no. {worst['category']}, {with_interval(*worst[SHOWN])}"), Cell(str(rows["prompts"].min()))]
        )
    caption = (
        f"Harm by category of {options.model_label(options.experiment.models[0])} "
        f"({metrics.metric('harm', options).mean_of}; lower is better). Bold: the worst category of a row, shown again "
        "with its interval; fewest: prompts of the smallest category."
    )
    alone = int((data["two_way_over"] == statistics.PROMPTS_ONLY).sum())
    said = [
        "Categories: " + ("; ".join(f"{each} {title(each)}" for each in present) or "no prompt has one") + ".",
        "± is the half-width of the 95 % interval of the two-way bootstrap over runs and prompts, no SD, SE or "
        "t-interval over runs. It is not widened for the worst having been chosen among all.",
        *([f"{alone} of {len(data)} intervals are of one run and so over prompts only."] if alone else []),
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    header = ["Sampler", "n", *map(str, present), "Worst", "Fewest"]
    columns = ["l", "l", *"c" * len(present), "l", "c"]
    return Table("Categories", caption, header, body, said, data, columns)


def _cell(row: pd.Series) -> Cell:
    return Cell(with_interval(row["mean"]), bool(row["worst"]))
