"""Draw all methods, beyond the paper: harm minus Random's at every n, and minus the control's at equal over-refusal."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ballast.names import RANDOM, REFERENCES, sampler_label, short_label
from ballast.results import all_methods, notes, style
from ballast.results.statistics import TWO_WAY
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

EXPERIMENT = "beyond"
METRICS = ("harm", "over_refusal")
ONE = ("models", "pools")
EQUAL_REFUSAL = "At equal over-refusal"
ROW = 0.21  # inches, at least
STEP = 0.06  # inches between a method's n


def draw(options: Options, paths: Sequence[str]) -> Drawn:
    """Draw one row per method: differences of harm at equal n (left) and at equal over-refusal (right)."""
    data = all_methods.compared(options, paths)
    everything = list(dict.fromkeys(data["sampler"]))
    wanted = data["row"].isin((all_methods.AT_EQUAL_N, all_methods.AT_EQUAL_REFUSAL)) & ~data["sampler"].isin(
        REFERENCES
    )
    data = data[wanted & (data["metric"] == "harm")].reset_index(drop=True)
    there = set(data.dropna(subset="value")["sampler"])
    named = [name for name in everything if name in there]
    n, control = all_methods.middle(options), all_methods.control_of(data)
    sizes = sorted(options.experiment.n)
    row = max(ROW, STEP * (len(sizes) + 1))
    said = [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        "Bars: 95 % interval of the two-way bootstrap over runs and prompts; dotted with a hollow marker: one run.",
        "Blue: less harm, the interval excludes 0; red: more; grey: it includes 0, or there is none over runs.",
        f"Left: n = {', '.join(map(str, sizes))} from above, larger markers for larger n.",
        f"Right: where a method over-refuses as much as {short_label(control)} halfway from its smallest n to its "
        "largest; no marker where its own n do not enclose that."
        if control
        else "Right: nothing to compare with.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    kinds = {all_methods.AT_EQUAL_N: ("At equal n", RANDOM), all_methods.AT_EQUAL_REFUSAL: (EQUAL_REFUSAL, control)}
    kinds = {kind: about for kind, about in kinds.items() if (data["row"] == kind).any()}
    if not named:
        return Drawn(style.sentence("No method has harm to compare with Random's.", said), data)
    canvas = style.canvas(len(kinds), row * len(named) + 0.6, said, sharey=True)
    for panel, (kind, (title, against)) in zip(canvas.panels, kinds.items(), strict=True):
        rows = data[data["row"] == kind]
        _differences(panel, rows if kind == all_methods.AT_EQUAL_N else rows.assign(n=n), named, STEP / row)
        panel.set_title(title)
        panel.set_xlabel(f"harm minus {short_label(against)}'s, lower is better")
    canvas.panels[0].set_yticks(range(len(named)), [sampler_label(name) for name in named])
    canvas.panels[0].set_ylim(len(named) - 0.4, -0.6)
    return Drawn(canvas.figure, data)


def _differences(panel: Axes, rows: pd.DataFrame, named: list[str], step: float) -> None:
    """Draw each method's differences in its own row, `step` rows apart by n."""
    panel.axvline(0, color=style.INK, linewidth=0.8, zorder=1)
    sizes = sorted(set(rows["n"]))
    places = dict(zip(sizes, step * (np.arange(len(sizes)) - (len(sizes) - 1) / 2), strict=True))
    areas = dict(zip(sizes, np.linspace(8, 24, len(sizes)), strict=True))
    for row in rows.dropna(subset="value").itertuples():
        place = named.index(row.sampler) + places[row.n]
        color = style.GREY
        if row.two_way_over == TWO_WAY and (row.high_two_way < 0 or row.low_two_way > 0):
            color = style.BLUE if row.value < 0 else style.RED
        alone = row.two_way_over != TWO_WAY or row.shared_runs == 1
        style.whiskers(panel, place, row.low_two_way, row.high_two_way, alone, color, across=True)
        look = {"marker": style.marker(row.sampler), "facecolor": "white" if alone else color, "edgecolor": color}
        panel.scatter([row.value], [place], areas[row.n], zorder=4, linewidth=0.8, **look)
    panel.grid(axis="y", visible=False)
    panel.grid(axis="x", visible=True)
