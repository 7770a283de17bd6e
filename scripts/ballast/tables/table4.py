"""Table 4: harm by model."""

from collections.abc import Sequence

from ballast.markup import Cell, Table
from ballast.names import REFERENCES, in_order, short_label
from ballast.results import metrics, paper_tables
from ballast.study.artefacts import Options

EXPERIMENT = "transfer"
METRICS = ("harm",)
ONE = ("pools",)


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return the harm of Random and SSS-B on several models."""
    scores = metrics.read_scores(paths)
    cells = metrics.cells_of(scores, "harm", options)
    metrics.require_cells(cells, paths[0], "table 4")
    samplers = [name for name in in_order(options.experiment.samplers) if name not in REFERENCES]
    models, sizes = options.experiment.models, sorted(options.experiment.n)
    cells = cells[~cells["sampler"].isin(REFERENCES)]
    by_prompt, direction = metrics.by_prompt(scores, "harm", options), metrics.METRICS["harm"].direction
    cells = cells.assign(best=paper_tables.best(cells, ["model", "n"], by_prompt, direction))
    grid = cells.set_index(["n", "sampler", "model"])
    body = [
        [Cell(str(n)), Cell(short_label(name)), *(paper_tables.cell(grid, (n, name, model)) for model in models)]
        for n in sizes
        for name in samplers
    ]
    caption = (
        f"Harm by model after fine-tuning with n safety examples ({metrics.metric('harm', options).mean_of}; "
        f"{metrics.METRICS['harm'].direction} is better). Bold: the best sampler of a "
        "model at one n, if the samplers differ significantly."
    )
    header = ["n", "Sampler", *(options.model_label(model) for model in models)]
    said = paper_tables.notes_below(options, cells, body)
    return Table(
        "Table 4",
        caption,
        header,
        body,
        said,
        metrics.long_form(cells, ["model", "n", "sampler"], ("best",)),
        ["l", "l", *"c" * len(models)],
    )
