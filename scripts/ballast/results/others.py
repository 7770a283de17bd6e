"""Share the parts of the tables of other metrics and of comparisons: order and labels of a cell's place."""

from collections.abc import Sequence

import pandas as pd

from ballast.markup import Cell
from ballast.names import in_order, sampler_label
from ballast.results.metrics import CELL
from ballast.study.artefacts import Options

WHERE = ["model", "pool", "sampler"]


def by_place(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by model, pool, sampler in the paper's order, and n."""
    order = in_order(table["sampler"])
    return table.sort_values(CELL, key=lambda column: column.map(order.index) if column.name == "sampler" else column)


def columns(cells: pd.DataFrame) -> list[str]:
    """Return the columns of WHERE in which cells differ, and the sampler; `-` is the pool of an untrained model."""
    pools = set(cells["pool"]) - {"-"}
    several = {"model": cells["model"].nunique() > 1, "pool": len(pools) > 1, "sampler": True}
    return [column for column in WHERE if several[column]]


def spelled(place: Sequence[str], columns: Sequence[str], options: Options) -> list[Cell]:
    """Return the labels of a place in some of its columns."""
    named = dict(zip(WHERE, place, strict=True))
    labels = {"model": options.model_label, "pool": str, "sampler": sampler_label}
    return [Cell(labels[column](named[column])) for column in columns]
