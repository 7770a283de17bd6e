"""Draw the gradient report: gradients of each behaviour, and those of groups against measured changes."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ballast.names import BEHAVIOURS, short_label
from ballast.results import metrics, notes, style
from ballast.results.gradients import BEHAVIOUR, CATEGORY, Group, Report, table
from ballast.results.statistics import PROMPTS_ONLY
from ballast.results.style import Drawn
from ballast.study.artefacts import Options

LABELS = {"conflict": "conflict with the task", "increase": "loss increase (nats a token)"}
EFFECT = "harm change"
ENDS = (5, 95)  # percentiles at the ends of the whiskers


def draw(found: Report, options: Options) -> Drawn:
    """Draw rows by behaviour, then by group the change of harm against mean conflict and mean loss increase."""
    titles = {BEHAVIOUR: f"Behaviours, {found.n[BEHAVIOUR]} added", CATEGORY: "Categories, T1 rows"}
    measured = {kind: groups for kind in titles if (groups := _measured(found.of(kind)))}
    columns = 1 + len(measured)
    canvas = style.canvas(len(LABELS) * columns, 1.9, _small_print(found, options), columns=columns)
    harm = metrics.metric("harm", options)
    rows = found.rows.dropna(subset="conflict")
    names = [name for name in BEHAVIOURS if (rows["behaviour"] == name).any()]
    for place, measure in enumerate(LABELS):
        first, *others = canvas.panels[columns * place : columns * (place + 1)]
        _boxes(first, [rows.loc[rows["behaviour"] == name, measure].to_numpy() for name in names], names)
        first.set_xlabel(LABELS[measure])
        first.set_title("Rows of the pool")
        for panel, (kind, groups) in zip(others, measured.items(), strict=True):
            _groups(panel, groups, measure, harm)
            panel.set_title(titles[kind])
    return Drawn(canvas.figure, table(found))


def _measured(groups: list[Group]) -> list[Group]:
    return [group for group in groups if EFFECT in group.effects and not math.isnan(group.effects[EFFECT].mean)]


def _boxes(panel: Axes, values: list[np.ndarray], names: list[str]) -> None:
    look = {"color": style.INK, "linewidth": 0.8}
    drawn = panel.boxplot(
        values,
        orientation="horizontal",
        whis=ENDS,
        showfliers=False,
        widths=0.6,
        patch_artist=True,
        medianprops=look | {"linewidth": 1.4},
        whiskerprops=look,
        capprops=look,
        boxprops={"linewidth": 0},
    )
    for box, name in zip(drawn["boxes"], names, strict=True):
        box.set_facecolor(style.BEHAVIOUR_HUES[name])
    panel.set_yticks(range(1, len(names) + 1), names)
    panel.invert_yaxis()
    panel.axvline(0, color=style.GREY, linewidth=0.7, zorder=0)
    panel.grid(axis="y", visible=False)
    panel.grid(axis="x", visible=True)
    panel.xaxis.set_major_locator(MaxNLocator(4))


def _groups(panel: Axes, groups: list[Group], measure: str, harm: metrics.Metric) -> None:
    """Draw one point per group, with the interval of its change of harm and its name."""
    for group in groups:
        x, found = group.means[measure], group.effects[EFFECT]
        alone = found.single or found.over == PROMPTS_ONLY
        color = style.BEHAVIOUR_HUES.get(group.name, style.BEHAVIOUR_HUES["T1"])
        style.whiskers(panel, x, found.low, found.high, alone, color)
        panel.plot(x, found.mean, "o", color=color, markerfacecolor="white" if alone else color)
        panel.annotate(group.name, (x, found.mean), (3, 3), textcoords="offset points", fontsize=6)
    panel.axhline(0, color=style.GREY, linewidth=0.7, zorder=0)
    panel.margins(x=0.14)
    panel.xaxis.set_major_locator(MaxNLocator(4))
    # An interval may reach beyond the largest possible change of harm; the axis does not.
    low, high = panel.get_ylim()
    largest = 1.05 * harm.span
    panel.set_ylim(max(low, -largest), min(high, largest))
    panel.set_xlabel(f"mean {LABELS[measure]}")
    panel.set_ylabel("change of harm" + ", points" * harm.rate)


def _small_print(found: Report, options: Options) -> list[str]:
    by_category = "not measured"
    if found.of_t1:
        by_category = f"{found.of_t1[1]} rows of {short_label(found.of_t1[0])} added, harm on the category's prompts"
    return [
        f"Study {options.study}, model {options.model_label(options.experiment.models[0])}.",
        "Boxes: quartiles and median of rows; whiskers: 5th and 95th percentile.",
        "Change of harm: against base data alone, below 0 is better; bars: 95 % intervals, two-way bootstrap; "
        "dotted with a hollow marker: one run.",
        *["Behaviours: change of harm not measured."] * (not _measured(found.of(BEHAVIOUR))),
        f"Categories by id: {by_category}.",
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
