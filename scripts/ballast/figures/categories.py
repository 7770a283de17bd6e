"""Draw harm by category and sampler at the middle n, beyond the paper: a heat map with numbers."""

from collections.abc import Sequence

import numpy as np

from ballast.categories import title
from ballast.names import REFERENCES, in_order, short_label
from ballast.results import metrics, notes, style
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "sampling"
METRICS = ("harm",)
ONE = ("models", "pools")


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw harm by category (columns) and sampler (rows) at the middle n, as numbers on a heat map."""
    sizes = sorted(options.experiment.n)
    n = sizes[(len(sizes) - 1) // 2]
    scores = metrics.read_scores(paths)
    metrics.require_cells(metrics.cells_measured(scores, "harm", options), paths[0], "the heat map")
    data = metrics.by_category(scores, "harm", options)
    data = data[(data["n"] == n) | data["sampler"].isin(REFERENCES)]
    grid = data.pivot(index="sampler", columns="category", values="mean").reindex(in_order(data["sampler"]))
    unit = metrics.other_unit("harm", options)
    mean = f"Mean harm ({unit})" if unit else "Mean harm"
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        f"{mean} with n = {n} safety examples; framed: the category in which a sampler does worst.",
        f"The smallest category has {data['prompts'].min() if len(grid) else 0} prompts; intervals are in the CSV.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    if grid.empty:
        return Drawn(style.sentence("No prompt of the benchmark has a category.", said), data)
    canvas = style.canvas(1, 0.22 * len(grid) + 1.5, said)
    panel = canvas.panels[0]
    highest = max(float(np.nanmax(grid.to_numpy())), 0.01)
    panel.imshow(grid, cmap=style.HEAT, vmin=0, vmax=highest, aspect="auto")
    for row, (sampler, values) in enumerate(grid.iterrows()):
        worst = values.idxmax()
        for column, (category, value) in enumerate(values.items()):
            if not np.isnan(value):
                ink = "white" if value > 0.65 * highest else style.INK
                panel.text(column, row, f"{round(value, 1) + 0:.1f}", ha="center", va="center", fontsize=7, color=ink)
            if category == worst and sampler not in REFERENCES:
                panel.add_patch(style.frame(column, row))
    labels = [_short(title(category)) for category in grid.columns]
    panel.set_xticks(range(len(labels)), labels, rotation=35, ha="left", rotation_mode="anchor")
    panel.xaxis.tick_top()
    panel.set_yticks(range(len(grid)), [short_label(sampler) for sampler in grid.index])
    panel.tick_params(length=0)
    panel.grid(visible=False)
    panel.spines[:].set_visible(False)
    return Drawn(canvas.figure, data.reset_index(drop=True))


def _short(text: str) -> str:
    return text.split(",")[0]
