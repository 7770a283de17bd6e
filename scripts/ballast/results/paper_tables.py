"""Share the parts of Tables 1, 2, 4 and 5: the grid by sampler and n, the best of a group, cells and notes."""

import math
from collections.abc import Sequence

import pandas as pd

from ballast.markup import MISSING, Cell, Table, with_interval
from ballast.names import REFERENCES, in_order, sampler_label
from ballast.results import metrics, notes
from ballast.results.cells import Cells
from ballast.results.contrasts import LEVEL, corrected_for_choice, p_of
from ballast.results.metrics import METRICS
from ballast.study.artefacts import Options

TIES = "its ties, which do not differ significantly from it; none if nothing differs"


def by_n(number: int, name: str, title: str, options: Options, path: str) -> Table:
    """Return the table of samplers by n. References, which have no n, have a column of their own."""
    scores = metrics.read_scores(path)
    cells = metrics.cells_of(scores, name, options)
    metrics.require_cells(cells, path, f"table {number}")
    cells = cells.assign(best=best(cells, ["n"], metrics.by_prompt(scores, name, options), METRICS[name].direction))
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
        f"{METRICS[name].direction.capitalize()} is better. Bold: the best of a column and {TIES}."
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


def best(cells: pd.DataFrame, group: list[str], scores: Cells, direction: str) -> pd.Series:
    """Return whether a cell is the best of its group, or does not differ significantly from the best.

    References are not compared. The best is chosen among k cells, so p is corrected for all k (k - 1) / 2 pairs
    (Bonferroni). If no cell of a group differs from the best, nothing is decided, and none is the best.
    """
    found = pd.Series(False, index=cells.index)
    groups = {key: one for one in scores.apart(lambda cell: cell[:2]) for key in one}
    compared = cells[~cells["sampler"].isin(REFERENCES) & cells["mean"].notna()]
    for _, rows in compared.groupby(group):
        keys = dict(zip(rows.index, rows[metrics.CELL].itertuples(index=False, name=None), strict=True))
        first = rows["mean"].idxmin() if direction == "lower" else rows["mean"].idxmax()
        p = pd.Series({at: p_of(groups[key].difference(keys[first], key)) for at, key in keys.items() if at != first})
        worse = corrected_for_choice(p) < LEVEL
        if worse.any():
            found[[first, *p.index[p.notna() & ~worse]]] = True
    return found


def cell(grid: pd.DataFrame, key: tuple) -> Cell:
    """Return mean ± half-width of a cell of the grid, MISSING without a mean."""
    if key not in grid.index or math.isnan(grid.at[key, "mean"]):
        return Cell(MISSING)
    row = grid.loc[key]
    return Cell(with_interval(row["mean"], row["low_t"], row["high_t"]), bool(row["best"]))


def notes_below(options: Options, cells: pd.DataFrame, body: Sequence[Sequence[Cell]]) -> list[str]:
    """Return the notes below a table: intervals, judges, counts and missing cells."""
    lines = [notes.intervals(cells, notes.mark(options)), notes.COLUMNS, *notes.judged_by(options), notes.counts(cells)]
    missing = sum(shown.text == MISSING for row in body for shown in row)
    if missing:
        lines.append(f"{MISSING} marks a cell without any parsed score ({missing} of them).")
    return lines + notes.synthetic(options)
