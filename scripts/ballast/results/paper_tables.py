"""Share the parts of Tables 1, 2, 4 and 5: the grid by sampler and n, the best of a group, cells and notes."""

import math
from collections.abc import Sequence

import pandas as pd

from ballast.markup import DECIMALS, MISSING, Cell, Table, plus_minus
from ballast.names import REFERENCES, in_order, sampler_label
from ballast.results import metrics, notes
from ballast.results.metrics import METRICS
from ballast.study.artefacts import Options


def by_n(number: int, name: str, title: str, options: Options, path: str) -> Table:
    """Return the table of samplers by n. References, which have no n, have a column of their own."""
    cells = metrics.cells_of(metrics.read_scores(path), name, options)
    metrics.require_cells(cells, path, f"table {number}")
    compared = ~cells["sampler"].isin(REFERENCES)
    cells = cells.assign(best=best(cells[compared], ["n"], name).reindex(cells.index, fill_value=False))
    grid = cells.set_index(["sampler", "n"])
    references = [sampler for sampler in in_order(REFERENCES) if (sampler, 0) in grid.index]
    samplers = [sampler for sampler in in_order(options.experiment.samplers) if sampler not in REFERENCES]
    sizes, none = sorted(options.experiment.n), ["0"] if references else []
    blank = Cell("")
    body = [[Cell(sampler_label(sampler)), cell(grid, (sampler, 0)), *[blank] * len(sizes)] for sampler in references]
    body += [
        [Cell(sampler_label(sampler)), *[blank] * len(none), *(cell(grid, (sampler, n)) for n in sizes)]
        for sampler in samplers
    ]
    unit = metrics.other_unit(name, options)
    title = title.format(model=options.model_label(options.experiment.models[0]))
    caption = (
        f"{title}{f' ({unit})' * bool(unit)}, by sampler (rows) and n (columns). "
        f"{METRICS[name].direction.capitalize()} is better. Bold: the best of a column."
    )
    data = metrics.long_form(cells, ["sampler", "n"], ("best",))
    return Table(
        f"Table {number}",
        caption,
        ["Sampler", *none, *map(str, sizes)],
        body,
        notes_below(options, cells, body),
        data,
        ["l", *"c" * (len(none) + len(sizes))],
    )


def best(cells: pd.DataFrame, group: list[str], name: str) -> pd.Series:
    """Return whether a cell is the best of its group at the printed precision; a cell alone is not."""
    printed = cells["mean"].round(DECIMALS)
    groups = printed.groupby([cells[key] for key in group])
    lowest_or_highest = groups.transform("min" if METRICS[name].direction == "lower" else "max")
    return (printed == lowest_or_highest) & (groups.transform("count") > 1)


def cell(grid: pd.DataFrame, key: tuple) -> Cell:
    """Return mean ± half-width of a cell of the grid, MISSING without a mean."""
    if key not in grid.index or math.isnan(grid.at[key, "mean"]):
        return Cell(MISSING)
    row = grid.loc[key]
    return Cell(plus_minus(row["mean"], row["half"]), bool(row["best"]))


def notes_below(options: Options, cells: pd.DataFrame, body: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the notes below a table: intervals, judges, counts and missing cells."""
    lines = [notes.intervals(cells, "±"), notes.COLUMNS, *notes.judged_by(options), notes.counts(cells)]
    missing = sum(shown.text == MISSING for row in body for shown in row)
    if missing:
        lines.append(f"{MISSING} marks a cell without any parsed score ({missing} of them).")
    return lines + notes.synthetic(options)
