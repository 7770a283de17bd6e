"""Show every metric of every model, with intervals: also of models that no run fine-tunes."""

from collections.abc import Sequence

import pandas as pd

from ballast.files import BallastError
from ballast.markup import MISSING, Cell, Table
from ballast.names import AS_IS
from ballast.results import metrics, notes, others
from ballast.results.metrics import CELL, COUNTS, Metric
from ballast.study.artefacts import Options

KEYS = ("measured", "model_labels")
COLUMNS = ["metric", "unit", *CELL, "mean", "low", "high", "over", "trials", *COUNTS]


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return the mean of each metric, in columns, by model, pool, sampler and n, over the runs that have it."""
    scores = metrics.read_scores(paths)
    measured = {name: metrics.metric_of(name, section) for name, section in options.measured.items()}
    data = pd.concat(
        [_cells(scores, metric, options.measured[name]["judge"]) for name, metric in measured.items()],
        ignore_index=True,
    )
    if data["mean"].isna().all():
        raise BallastError(f"{paths[0]}: no run has a score of {', '.join(measured)}; see `metrics` of experiments")
    data = others.by_place(data)
    said, sizes = others.columns(data), bool(data["n"].any())
    if set(data["sampler"]) == {AS_IS} and len(said) > 1:
        said.remove("sampler")
    texts = {
        (row["metric"], *(row[key] for key in CELL)): measured[row["metric"]].text(row["mean"], row["low"], row["high"])
        for row in data.to_dict("records")
    }
    body = [
        [
            *others.spelled(place[:-1], said, options),
            *([Cell(str(place[-1]))] if sizes else []),
            *(Cell(texts.get((name, *place), MISSING)) for name in measured),
        ]
        for place in data[CELL].drop_duplicates().itertuples(index=False, name=None)
    ]
    header = [*(column.capitalize() for column in said), *(["n"] if sizes else [])]
    header += [f"{metric.label} ({metric.unit})" for metric in measured.values()]
    caption = "The mean of every metric, and its 95 % interval. " + " ".join(
        f"{metric.label}: {metric.direction} is better." for metric in measured.values()
    )
    judged = [
        f"{metric.label}: judge `{options.measured[name]['judge']}` on {metric.benchmark}."
        for name, metric in measured.items()
    ]
    notes_ = [OVER, *judged, *options.stand_ins.values(), notes.counts(data), *notes.synthetic(options)]
    columns = ["l"] * (len(header) - len(measured)) + ["c"] * len(measured)
    return Table("Scores", caption, header, body, notes_, data[COLUMNS].round(6), columns)


OVER = (
    "An interval of several runs is over runs and prompts (two-way bootstrap), that of one run over prompts only: "
    "Wilson's for a rate, else the bootstrap's."
)


def _cells(scores: pd.DataFrame, metric: Metric, judge: str) -> pd.DataFrame:
    runs = metrics.run_values(scores, metric, judge)
    by_cell = metrics.matrices(scores, metric, judge, metric.benchmark, runs)
    ends = [(*cell, *metrics.interval(metric, table)) for cell, table in by_cell.items()]
    ends = pd.DataFrame(ends, columns=[*CELL, "low", "high", "over"])
    return metrics.cells(runs, metric).merge(ends, on=CELL, how="left").assign(metric=metric.name, unit=metric.unit)
