"""Show other metrics, beyond the paper: those that a config adds to the four."""

from collections.abc import Sequence

import pandas as pd

from ballast.files import BallastError
from ballast.markup import DECIMALS, Cell, Table, plus_minus
from ballast.results import metrics, notes, others
from ballast.results.metrics import CELL, metric_of
from ballast.study.artefacts import Options

KEYS = ("others", "model_labels")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return every metric beyond the four, by sampler and n, over the runs that have it."""
    scores = metrics.read_scores(paths)
    parts = [_cells(scores, name, section).assign(metric=name) for name, section in options.others.items()]
    cells = pd.concat(parts, ignore_index=True)
    if cells["mean"].isna().all():
        raise BallastError(
            f"{paths[0]}: no run has a score of {', '.join(options.others)}; see `metrics` of experiments"
        )
    cells = cells.assign(best=_best(cells, options.others))
    sizes = sorted(cells["n"].unique())
    said = others.columns(cells)
    body = []
    for name, section in options.others.items():
        mine = cells[cells["metric"] == name]
        for place, rows in others.by_place(mine).groupby(others.WHERE, sort=False, observed=True):
            by_n = rows.set_index("n")
            body.append(
                [
                    Cell(f"{section['label']} ({section['unit']})"),
                    *others.spelled(place, said, options),
                    *(_cell(by_n, n) for n in sizes),
                ]
            )
    caption = (
        "Metrics beyond the paper's four, by sampler (rows) and n (columns; 0 is without safety data). "
        f"{_directions(options.others)} Bold: the best of a metric at one n."
    )
    judged = [
        f"{section['label']}: judge `{section['judge']}` on {section['benchmark']}."
        for section in options.others.values()
    ]
    notes_ = [notes.intervals(cells, "±"), notes.COLUMNS, *judged, *options.stand_ins.values(), notes.counts(cells)]
    header = ["Metric", *(column.capitalize() for column in said), *map(str, sizes)]
    data = pd.concat(
        [metrics.long_form(cells[cells["metric"] == name], ["metric", *CELL], ("best",)) for name in options.others]
    )
    columns = ["l"] * (1 + len(said)) + ["c"] * len(sizes)
    return Table("Other metrics", caption, header, body, notes_ + notes.synthetic(options), data, columns)


def _cells(scores: pd.DataFrame, name: str, section: dict) -> pd.DataFrame:
    metric, judge = metric_of(name, section), section["judge"]
    runs = metrics.run_values(scores, metric, judge)
    by_cell = metrics.matrices(scores, metric, judge, metric.benchmark, runs)
    return metrics.with_two_way(metrics.cells(runs), by_cell)


def _best(cells: pd.DataFrame, sections: dict[str, dict]) -> pd.Series:
    """Return whether a cell is the best of its metric, model and n at the printed precision; a lone cell is not."""
    higher = cells["metric"].map({name: section["direction"] == "higher" for name, section in sections.items()})
    printed = cells["mean"].round(DECIMALS)
    groups = printed.where(higher, -printed).groupby([cells[key] for key in ("metric", "model", "n")])
    return (printed.where(higher, -printed) == groups.transform("max")) & (groups.transform("count") > 1)


def _cell(by_n: pd.DataFrame, n: int) -> Cell:
    if n not in by_n.index:
        return Cell("")
    row = by_n.loc[n]
    return Cell(plus_minus(row["mean"], row["half"]), bool(row["best"]))


def _directions(sections: dict[str, dict]) -> str:
    said = [f"{section['label']}: {section['direction']} is better." for section in sections.values()]
    return " ".join(said)
