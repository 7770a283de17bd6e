"""Tables 1-4 of the paper: harm and attack success by sampler and n, examples of each behaviour, harm by model; and
Table 5, beyond it: models before and after fine-tuning on base data alone."""

import hashlib
import math
from collections.abc import Callable, Sequence

import pandas as pd

from ballast import schemas
from ballast.data.rows import pairs_to_judge
from ballast.files import BallastError
from ballast.markup import DECIMALS, MISSING, Cell, Table, plus_minus
from ballast.names import AS_IS, BEHAVIOURS, NONE, REFERENCES, UNKNOWN, in_order, sampler_label, short_label
from ballast.results import metrics, notes
from ballast.results.all_methods import beyond
from ballast.results.categories import categories
from ballast.results.contrasts import budget, contrasts
from ballast.results.metrics import METRICS
from ballast.results.others import other, pairwise
from ballast.study.artefacts import Options

EXCERPT = 300  # characters of an example's text


def table_1(options: Options, paths: Sequence[str]) -> Table:
    """Harm of each sampler at each n."""
    return _by_n(1, "harm", "Harm of {model} after fine-tuning with n safety examples", options, paths[0])


def table_2(options: Options, paths: Sequence[str]) -> Table:
    """Attack success rate of each sampler at each n."""
    return _by_n(
        2, "asr", "Attack success rate (%) of {model} after fine-tuning with n safety examples", options, paths[0]
    )


def table_3(options: Options, paths: Sequence[str]) -> Table:
    """One example of each behaviour. `paths`: the labels (id, behaviour, judge), then the pool that they label."""
    labels = schemas.read(paths[0], schemas.BEHAVIOUR)
    pool = schemas.read(paths[1], schemas.PAIRS).set_index("id")
    strange = labels.loc[~labels["id"].isin(pool.index), "id"]
    if not strange.empty:
        raise BallastError(f"{paths[0]}: row {strange.iloc[0]} is not in {paths[1]}; give the labels of this very pool")
    spelled = redacted if options.redact else excerpt
    body, data = [], []
    for behaviour, (instruction, response) in BEHAVIOURS.items():
        ids = labels.loc[labels["behaviour"] == behaviour, "id"]
        shown = {"instruction": "no such row in the pool", "response": MISSING, "id": MISSING}
        if not ids.empty:
            # By the digest of its id: no one picked it, and it is the same row wherever the table is made.
            chosen = min(ids, key=lambda row: hashlib.sha256(row.encode()).hexdigest())
            pair = pairs_to_judge(pool.loc[[chosen]]).iloc[0]
            shown = {"instruction": spelled(pair["prompt"]), "response": spelled(pair["response"]), "id": chosen}
        body.append([Cell(f"{behaviour} ({instruction} instruction, {response})"), *map(Cell, shown.values())])
        data.append({"behaviour": behaviour, "rows": len(ids), **shown})
    unknown = int((labels["behaviour"] == UNKNOWN).sum())
    caption = (
        f"One example of each behaviour in the safety pool; {unknown:,} of {len(labels):,} rows are unknown (the "
        "labeller could not tell)."
    )
    said = [f"Behaviour: labelled by `{judge}`." for judge in options.labellers.values()]
    said += [*options.stand_ins.values()]
    if options.redact:
        said.append("Texts are redacted: look a row up in the pool by its id.")
    columns = ["l", r"p{0.25\linewidth}", r"p{0.4\linewidth}", "l"]
    header = ["Behaviour", "Instruction", "Response", "Row id"]
    return Table("Table 3", caption, header, body, said + notes.synthetic(options), pd.DataFrame(data), columns)


def table_4(options: Options, paths: Sequence[str]) -> Table:
    """Harm of Random and SSS-B on several models."""
    cells = metrics.cells_of(metrics.read_scores(paths[0]), "harm", options)
    metrics.require_cells(cells, paths[0], "table 4")
    samplers = [name for name in in_order(options.experiment.samplers) if name not in REFERENCES]
    models, sizes = options.experiment.models, sorted(options.experiment.n)
    cells = cells[~cells["sampler"].isin(REFERENCES)]
    cells = cells.assign(best=_best(cells, ["model", "n"], "harm"))
    grid = cells.set_index(["n", "sampler", "model"])
    body = [
        [Cell(str(n)), Cell(short_label(name)), *(_cell(grid, (n, name, model)) for model in models)]
        for n in sizes
        for name in samplers
    ]
    caption = (
        f"Harm by model after fine-tuning with n safety examples (the mean score, 0 to 4; {METRICS['harm'].direction} "
        "is better). Bold: the best sampler of a model at one n."
    )
    header = ["n", "Sampler", *(options.model_label(model) for model in models)]
    said = _notes(options, cells, body)
    return Table(
        "Table 4",
        caption,
        header,
        body,
        said,
        metrics.long_form(cells, ["model", "n", "sampler"], ("best",)),
        ["l", "l", *"c" * len(models)],
    )


def table_5(options: Options, paths: Sequence[str]) -> Table:
    """Models as they are and after fine-tuning on base data alone: forgetting told from acquisition."""
    scores = metrics.read_scores(paths[0])
    names = list(options.judges)
    every = {name: metrics.cells_of(scores, name, options) for name in names}
    grids = {name: cells.assign(best=False).set_index(["model", "sampler"]) for name, cells in every.items()}
    body = [
        [
            Cell(options.model_label(model)),
            Cell(sampler_label(state)),
            *(_cell(grids[name], (model, state)) for name in names),
        ]
        for model in options.experiment.models
        for state in (AS_IS, NONE)
    ]
    cells = pd.concat([cells.assign(metric=name) for name, cells in every.items()], ignore_index=True)
    if cells["mean"].isna().all():
        raise BallastError(f"{paths[0]}: no model of table 5 has a score; check the experiment and as_is in the config")
    caption = (
        "What fine-tuning on base data alone does to a model that was never aligned and to one that was (beyond the "
        "paper). Harm, attack success and over-refusal: lower is better; helpfulness: higher."
    )
    header = ["Model", "State", *(METRICS[name].axis_label for name in names)]
    data = metrics.long_form(cells, ["metric", "model", "sampler"])
    return Table("Table 5", caption, header, body, _notes(options, cells, body), data, ["l", "l", *"c" * len(names)])


TABLES: dict[str, Callable[[Options, Sequence[str]], Table]] = {
    "table1": table_1,
    "table2": table_2,
    "table3": table_3,
    "table4": table_4,
    "table5": table_5,
    "contrasts": contrasts,
    "budget": budget,
    "categories": categories,
    "beyond": beyond,
    "other": other,
    "pairwise": pairwise,
}


def redacted(text: str) -> str:
    """What stands for a text that must not be read: its length."""
    return f"[redacted, {len(text)} characters]"


def excerpt(text: str) -> str:
    """The text on one line, cut after a word at EXCERPT characters."""
    text = " ".join(text.split())
    if len(text) <= EXCERPT:
        return text
    return text[:EXCERPT].rsplit(" ", 1)[0] + " …"


def _by_n(number: int, name: str, title: str, options: Options, path: str) -> Table:
    """Samplers by n. References, which have no n, stand in a column of their own."""
    cells = metrics.cells_of(metrics.read_scores(path), name, options)
    metrics.require_cells(cells, path, f"table {number}")
    compared = ~cells["sampler"].isin(REFERENCES)
    cells = cells.assign(best=_best(cells[compared], ["n"], name).reindex(cells.index, fill_value=False))
    grid = cells.set_index(["sampler", "n"])
    references = [sampler for sampler in in_order(REFERENCES) if (sampler, 0) in grid.index]
    samplers = [sampler for sampler in in_order(options.experiment.samplers) if sampler not in REFERENCES]
    sizes, none = sorted(options.experiment.n), ["0"] if references else []
    blank = Cell("")
    body = [[Cell(sampler_label(sampler)), _cell(grid, (sampler, 0)), *[blank] * len(sizes)] for sampler in references]
    body += [
        [Cell(sampler_label(sampler)), *[blank] * len(none), *(_cell(grid, (sampler, n)) for n in sizes)]
        for sampler in samplers
    ]
    caption = (
        f"{title.format(model=options.model_label(options.experiment.models[0]))}, by sampler (rows) and n (columns). "
        f"{METRICS[name].direction.capitalize()} is better. Bold: the best of a column."
    )
    said = _notes(options, cells, body)
    data = metrics.long_form(cells, ["sampler", "n"], ("best",))
    return Table(
        f"Table {number}",
        caption,
        ["Sampler", *none, *map(str, sizes)],
        body,
        said,
        data,
        ["l", *"c" * (len(none) + len(sizes))],
    )


def _best(cells: pd.DataFrame, group: list[str], name: str) -> pd.Series:
    """Whether a cell is the best of its group at the precision that is printed; a cell alone is not."""
    printed = cells["mean"].round(DECIMALS)
    groups = printed.groupby([cells[key] for key in group])
    best = groups.transform("min" if METRICS[name].direction == "lower" else "max")
    return (printed == best) & (groups.transform("count") > 1)


def _cell(grid: pd.DataFrame, key: tuple) -> Cell:
    if key not in grid.index or math.isnan(grid.at[key, "mean"]):
        return Cell(MISSING)
    row = grid.loc[key]
    return Cell(plus_minus(row["mean"], row["half"]), bool(row["best"]))


def _notes(options: Options, cells: pd.DataFrame, body: Sequence[Sequence[Cell]]) -> list[str]:
    said = [notes.intervals(cells, "±"), notes.COLUMNS, *notes.judged_by(options), notes.counts(cells)]
    missing = sum(cell.text == MISSING for row in body for cell in row)
    if missing:
        said.append(f"{MISSING} marks a cell without any parsed score ({missing} of them).")
    return said + notes.synthetic(options)
