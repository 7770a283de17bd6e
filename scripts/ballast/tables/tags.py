"""Show every metric by the tags of its benchmark, such as attack success by SALAD's methods."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from ballast import schemas
from ballast.markup import Cell, Table
from ballast.results import metrics, notes, others
from ballast.results.metrics import CELL, Metric
from ballast.study.artefacts import Options

KEYS = ("measured", "model_labels")
READS = ("scores", "benchmarks")
# A tag with more values is a text, such as the question behind an attack.
VALUES = 40
COLUMNS = ["metric", "unit", "tag", "value", *CELL, "mean", "low", "high", "over", "prompts"]


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return the mean of each metric over the prompts of each value of each tag, by model, pool, sampler and n."""
    scores, asked, long = metrics.read_scores(paths[:1]), {}, []
    for path in paths[1:]:
        found = tags(path)
        texts = [tag for tag in found if found[tag].nunique() > VALUES]
        long += [f"`{tag}` of {Path(path).stem} ({found[tag].nunique()} values)" for tag in texts]
        asked[Path(path).stem] = found.drop(columns=texts)
    measured = {name: metrics.metric_of(name, section) for name, section in options.measured.items()}
    rows = [
        row
        for name, metric in measured.items()
        if metric.benchmark in asked
        for row in _rows(scores, metric, options.measured[name]["judge"], asked[metric.benchmark])
    ]
    data = others.by_place(pd.DataFrame(rows, columns=COLUMNS))
    data = data.sort_values(["metric", "tag", "value"], kind="stable", ignore_index=True)
    said = others.columns(data)
    body = [
        [Cell(measured[row["metric"]].label), Cell(row["tag"]), Cell(row["value"]), Cell(str(row["prompts"]))]
        + others.spelled([row[key] for key in CELL[:-1]], said, options)
        + [Cell(str(row["n"])), Cell(measured[row["metric"]].text(row["mean"], row["low"], row["high"]))]
        for row in data.to_dict("records")
    ]
    header = ["Metric", "Tag", "Value", "Prompts", *(column.capitalize() for column in said), "n", "Mean"]
    caption = "The mean of every metric by the tags of its benchmark, and its 95 % interval over runs and prompts."
    left_out = [f"Left out, with more than {VALUES} values: {', '.join(long)}."] if long else []
    few = "Intervals are uncorrected for how many there are; few prompts make wide ones."
    notes_ = [few, *left_out, *options.stand_ins.values(), *notes.synthetic(options)]
    columns = ["l", "l", "l", "c", *("l" for _ in said), "c", "c"]
    return Table("Tags", caption, header, body, notes_, data.round(6), columns)


def tags(path: str) -> pd.DataFrame:
    """Return a benchmark's tags, a column each, by prompt id; a value is missing where a prompt lacks it."""
    rows = schemas.read(path, schemas.BENCHMARK)
    return pd.DataFrame([json.loads(text) for text in rows["tags"]], index=rows["id"])


def _rows(scores: pd.DataFrame, metric: Metric, judge: str, asked: pd.DataFrame) -> Iterator[dict]:
    runs = metrics.run_values(scores, metric, judge)
    for cell, table in metrics.matrices(scores, metric, judge, metric.benchmark, runs).items():
        for tag, values in asked.items():
            for value, ids in values.groupby(values).groups.items():
                part = table[table.columns.intersection(ids)].dropna(axis=1, how="all")
                if not part.empty:
                    low, high, over = metrics.interval(metric, part)
                    yield {
                        **dict(zip(CELL, cell, strict=True)),
                        **{"metric": metric.name, "unit": metric.unit, "tag": tag, "value": str(value)},
                        **{"mean": float(part.stack().mean()), "low": low, "high": high, "over": over},
                        "prompts": part.shape[1],
                    }
