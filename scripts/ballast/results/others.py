"""Beyond the paper: metrics that a config adds to the four, and how often a comparison of two runs was won."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ballast import schemas
from ballast.files import BallastError
from ballast.markup import DECIMALS, MISSING, Cell, Table, plus_minus
from ballast.names import in_order, sampler_label
from ballast.results import metrics, notes
from ballast.results.metrics import CELL, metric_of
from ballast.study.artefacts import Options
from ballast.study.runs import from_path

WHERE = ["model", "pool", "sampler"]


def other(options: Options, paths: Sequence[str]) -> Table:
    """Every metric beyond the four: samplers by n, of every run that is measured by it."""
    scores = metrics.read_scores(paths[0])
    parts = [_cells(scores, name, section).assign(metric=name) for name, section in options.others.items()]
    cells = pd.concat(parts, ignore_index=True)
    if cells["mean"].isna().all():
        raise BallastError(
            f"{paths[0]}: no run has a score of {', '.join(options.others)}; see `metrics` of experiments"
        )
    cells = cells.assign(best=_best(cells, options.others))
    sizes = sorted(cells["n"].unique())
    said = _columns(cells)
    body = []
    for name, section in options.others.items():
        mine = cells[cells["metric"] == name]
        for place, rows in _in_order(mine).groupby(WHERE, sort=False, observed=True):
            by_n = rows.set_index("n")
            body.append(
                [
                    Cell(f"{section['label']} ({section['unit']})"),
                    *_spelled(place, said, options),
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


def pairwise(options: Options, paths: Sequence[str]) -> Table:
    """Comparisons won, tied and lost, and how often the two orders of showing a pair disagree.

    `paths`: files runs/<run>/scores/<benchmark>.<pairwise>.parquet.
    """
    every = pd.concat([_compared(path) for path in paths], ignore_index=True)
    places = ["pairwise", "benchmark", *CELL]
    rows = []
    for place, table in every.groupby(places, sort=False, observed=True):
        read = table[table["score"].notna()]
        first, second = read["first"], read["second"]
        # Of our response shown second, 0 says that the one shown first was better.
        ahead = pd.concat([first, 1 - second])
        shares = {
            "won": read["score"] > 0.5,
            "tied": read["score"] == 0.5,
            "lost": read["score"] < 0.5,
            "orders_disagree": first != second,
            "first_shown_won": ahead[ahead != 0.5] == 1,
        }
        counts = {"compared": len(read), "unread": len(table) - len(read)}
        rows.append(
            dict(zip(places, place, strict=True)) | counts | {key: 100 * of.mean() for key, of in shares.items()}
        )
    data = _in_order(pd.DataFrame(rows)).sort_values(["pairwise", "benchmark"], kind="stable", ignore_index=True)
    said = _columns(data)
    shown = ["won", "tied", "lost", "orders_disagree", "first_shown_won"]
    body = [
        [
            Cell(f"{row['pairwise']} on {row['benchmark']}"),
            *_spelled([row[key] for key in WHERE], said, options),
            *(Cell(str(row[key])) for key in ("n", "compared")),
            *(Cell(MISSING if pd.isna(row[key]) else f"{row[key]:.1f}") for key in shown),
        ]
        for _, row in data.iterrows()
    ]
    caption = (
        "Comparisons with another run in %, over all prompts and trials of a cell. A win in one order and a loss in "
        "the other is a tie."
    )
    header = ["Comparison", *(column.capitalize() for column in said), "n", "Compared", "Won", "Tied", "Lost"]
    header += ["Orders disagree", "First shown won"]
    unread = int(data["unread"].sum())
    sentences = [
        "Orders disagree: the two orders of showing a pair gave different results; `by: scores` has no orders.",
        "First shown won: of the answers that name a better reply, those that name the one shown first; 50 is no bias.",
        f"{unread:,} of {unread + int(data['compared'].sum()):,} comparisons could not be read: they are in no number.",
        *options.stand_ins.values(),
        *notes.synthetic(options),
    ]
    columns = ["l"] * (1 + len(said)) + ["c"] * 7
    return Table("Comparisons", caption, header, body, sentences, data.round(6), columns)


def _cells(scores: pd.DataFrame, name: str, section: dict) -> pd.DataFrame:
    metric, judge = metric_of(name, section), section["judge"]
    runs = metrics.run_values(scores, metric, judge)
    by_cell = metrics.matrices(scores, metric, judge, metric.benchmark, runs)
    return metrics.with_two_way(metrics.cells(runs), by_cell)


def _compared(path: str) -> pd.DataFrame:
    """A file of comparisons with the run and the names that stand in its path."""
    parts = Path(path).parts
    start = len(parts) - 1 - parts[::-1].index("runs")
    run = from_path("/".join(parts[start + 1 : -2]))
    benchmark, name = Path(path).stem.rsplit(".", 1)
    key = {"model": run.model, "pool": run.pool, "sampler": run.sampler, "n": run.n}
    return schemas.read(path, schemas.COMPARED).assign(pairwise=name, benchmark=benchmark, **key)


def _best(cells: pd.DataFrame, others: dict[str, dict]) -> pd.Series:
    """Whether a cell is the best of its metric, model and n at the precision that is printed; one alone is not."""
    higher = cells["metric"].map({name: section["direction"] == "higher" for name, section in others.items()})
    printed = cells["mean"].round(DECIMALS)
    groups = printed.where(higher, -printed).groupby([cells[key] for key in ("metric", "model", "n")])
    return (printed.where(higher, -printed) == groups.transform("max")) & (groups.transform("count") > 1)


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """By model, pool, sampler as the paper's rows stand, and n."""
    order = in_order(table["sampler"])
    return table.sort_values(CELL, key=lambda column: column.map(order.index) if column.name == "sampler" else column)


def _columns(cells: pd.DataFrame) -> list[str]:
    """Where a cell is, as far as cells differ in it; `-` is the pool of a model as it is."""
    pools = set(cells["pool"]) - {"-"}
    several = {"model": cells["model"].nunique() > 1, "pool": len(pools) > 1, "sampler": True}
    return [column for column in WHERE if several[column]]


def _spelled(place: Sequence[str], columns: Sequence[str], options: Options) -> list[Cell]:
    named = dict(zip(WHERE, place, strict=True))
    labels = {"model": options.model_label, "pool": str, "sampler": sampler_label}
    return [Cell(labels[column](named[column])) for column in columns]


def _cell(by_n: pd.DataFrame, n: int) -> Cell:
    if n not in by_n.index:
        return Cell("")
    row = by_n.loc[n]
    return Cell(plus_minus(row["mean"], row["half"]), bool(row["best"]))


def _directions(others: dict[str, dict]) -> str:
    said = [f"{section['label']}: {section['direction']} is better." for section in others.values()]
    return " ".join(said)
