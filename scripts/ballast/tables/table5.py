"""Table 5, beyond the paper: models before and after fine-tuning on base data alone.

A model that was never aligned never learned to refuse; an aligned model that complies afterwards has forgotten it.
"""

from collections.abc import Sequence

import pandas as pd

from ballast.files import BallastError
from ballast.markup import Cell, Table
from ballast.names import AS_IS, NONE, sampler_label
from ballast.results import metrics, paper_tables
from ballast.study.artefacts import Options

EXPERIMENT = "forgetting"
METRICS = ("harm", "asr", "over_refusal", "helpfulness")
ONE = ("pools", "samplers")


def table(options: Options, paths: Sequence[str]) -> Table:
    """Return the metrics of each model before and after fine-tuning on base data alone."""
    scores = metrics.read_scores(paths)
    names = list(options.judges)
    every = {name: metrics.cells_of(scores, name, options) for name in names}
    grids = {name: cells.assign(best=False).set_index(["model", "sampler"]) for name, cells in every.items()}
    body = [
        [
            Cell(options.model_label(model)),
            Cell(sampler_label(state)),
            *(paper_tables.cell(grids[name], (model, state)) for name in names),
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
    header = ["Model", "State", *(metrics.metric(name, options).axis_label for name in names)]
    data = metrics.long_form(cells, ["metric", "model", "sampler"])
    return Table(
        "Table 5",
        caption,
        header,
        body,
        paper_tables.notes_below(options, cells, body),
        data,
        ["l", "l", *"c" * len(names)],
    )
