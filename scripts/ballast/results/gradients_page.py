"""Put the gradient report into words and tables."""

import math

import pandas as pd

from ballast.categories import title
from ballast.markup import MISSING, markdown, pipe_table
from ballast.names import BEHAVIOURS, in_order, short_label
from ballast.results import notes, swapping_page
from ballast.results.gradients import BEHAVIOUR, CATEGORY, ONE_IN, SAMPLER, Group, Relation, Report, outermost
from ballast.results.metrics import METRICS, metric
from ballast.results.statistics import PROMPTS_ONLY, Estimate
from ballast.results.swapping import Swapped
from ballast.study.artefacts import Options

MEANS = ("Rows", "Loss", "Loss increase", "Conflict", "Conflict above 0")
NO_SWAP = (
    "These groups differ in their requests and responses at once. The experiment `swapping` keeps the requests and "
    "swaps the responses (docs/checks.md)."
)
CARRIED = ("Behaviour", "Measure", "Outermost rows", "Their share", "Mean", "Mean without them", "Most are of", "First")
OVER = {BEHAVIOUR: "behaviours", CATEGORY: "categories", SAMPLER: "samplers"}
MEASURE = {"conflict": "conflict", "increase": "loss increase"}
NOTES = (
    "Loss: nats per token of a row's response after a warm-up on some of the base data. Loss increase: that minus its "
    "loss under the untrained model. Conflict: -cos of a row's gradient and the mean gradient of the base data at that "
    "point, -1 to 1; above 0 a step on the task is a step away from the row. ± is a standard deviation over rows.",
    "Changes are against base data alone (`none`), paired over trials: harm {harm}, over-refusal in points; below "
    "0 is less. Erosion: harm with base data alone minus that of the untrained model. In brackets: 95 % intervals of "
    "the two-way bootstrap over runs and prompts. A sampler's rows: the distinct rows of all its trials.",
    "rho: Spearman's rank correlation of the groups' means and effects; with a change of harm it is below 0 where more "
    "conflict, or more loss increase, goes with a larger fall. p: two-sided, by permutation of groups, from the "
    "effects, not their intervals; Holm's p is adjusted for all lines. Groups differ in much else, so a correlation "
    "shows no cause. Samplers share rows, so their groups are not independent either.",
    "Without one group: the lowest and highest rho without each of the groups in turn, and the group whose removal "
    f"changes rho most. Without outermost rows: rho without the {100 // ONE_IN} % of each group's rows with the "
    "largest absolute conflict or loss increase.",
)


def to_markdown(found: Report, options: Options, swapped: Swapped | None = None) -> str:
    """Return the page: the answer first, then one table per kind of group, the correlations, and notes on the words.

    `swapped`: the comparison with the same requests and other responses, if the study has it.
    """
    model, pool = options.model_label(options.experiment.models[0]), options.experiment.pools[0]
    said = sentences(found) + (swapping_page.sentences(swapped) if swapped else [NO_SWAP])
    parts = [
        f"# Gradients of the safety examples: {markdown(model)}, pool {markdown(pool)}",
        "\n".join(f"- {markdown(line)}" for line in said),
    ]
    for kind, heading in (
        (BEHAVIOUR, f"By behaviour, and what {found.n[BEHAVIOUR]} rows of one behaviour changed"),
        (CATEGORY, _category_heading(found)),
        (SAMPLER, f"By sampler: what it picked, and what {found.n[SAMPLER]} such rows changed"),
    ):
        groups = found.of(kind)
        if groups:
            effects = list(dict.fromkeys(name for group in groups for name in group.effects))
            header = [OVER[kind].capitalize(), *MEANS, *(name.capitalize() for name in effects)]
            lines = [
                [_name(group), *_means(group), *(_effect(group, name) for name in effects)] for group in _sorted(groups)
            ]
            parts += [f"## {heading}", pipe_table(header, lines)]
    if found.relations:
        header = ["Over", "Groups", "Of", "With", "rho", "p", "Holm's p", "Without one group", "Without outermost rows"]
        lines = [
            [OVER[one.kind], one.groups, MEASURE[one.measure], one.effect, _signed(one.rho), _p(one.p), _p(one.holm)]
            + [_without(one), _signed(one.inner)]
            for one in found.relations
        ]
        parts += ["## Do the two go together?", pipe_table(header, lines)]
    parts += ["## Which rows carry the means?", pipe_table(CARRIED, _carried(found))]
    unit = "in points" if metric("harm", options).rate else "as a score"
    said = [
        *(note.replace("{harm}", unit) for note in NOTES),
        *_projected(found),
        *_alone(found),
        *notes.judged_by(options),
        *notes.synthetic(options),
    ]
    parts.append("\n".join(f"- {note}" for note in said))
    return "\n\n".join(parts + (swapping_page.section(swapped, options) if swapped else [])) + "\n"


def sentences(found: Report) -> list[str]:
    """Return the report in a few lines, each with its numbers."""
    behaviours = found.of(BEHAVIOUR)
    said = []
    for measure in MEASURE:
        ranked = sorted(behaviours, key=lambda group: -group.means[measure])
        said.append(f"Mean {MEASURE[measure]}: {', '.join(f'{one.name} {one.means[measure]:+.3f}' for one in ranked)}.")
    measured = [group for group in behaviours if "harm change" in group.effects]
    if measured:
        ranked = sorted(measured, key=lambda group: group.effects["harm change"].mean)
        changes = ", ".join(f"{one.name} {_interval(one.effects['harm change'])}" for one in ranked)
        said.append(f"Change of harm by {found.n[BEHAVIOUR]} added rows: {changes}.")
        said += [_same_order(measured, measure) for measure in MEASURE if len(measured) > 1]
    else:
        said.append(
            "No run adds a single behaviour, so nothing is measured of one; the behaviour experiment does that."
        )
    said += [
        f"{' and '.join(map(short_label, group.names))} picked the same rows in each trial that they share, so they "
        "count as one group."
        for group in found.of(SAMPLER)
        if len(group.names) > 1
    ]
    told = [one for one in found.relations if one.kind != BEHAVIOUR]
    said += [_told(one) for one in told if one.effect != "over-refusal change"]
    return said


def _same_order(groups: list[Group], measure: str) -> str:
    pairs = [(one, other) for place, one in enumerate(groups) for other in groups[:place]]
    same = sum(
        (one.means[measure] - other.means[measure])
        * (one.effects["harm change"].mean - other.effects["harm change"].mean)
        < 0
        for one, other in pairs
    )
    return (
        f"In {same} of {len(pairs)} pairs of behaviours, larger {MEASURE[measure]} goes with a larger fall of harm; "
        f"{len(groups)} behaviours cannot show more than a direction."
    )


def _told(one: Relation) -> str:
    if math.isnan(one.rho):
        return f"Over {one.groups} {OVER[one.kind]} {MEASURE[one.measure]} or {one.effect} does not vary."
    verdict = "significant" if one.holm < 0.05 else "not significant"
    return (
        f"Over {one.groups} {OVER[one.kind]}, {MEASURE[one.measure]} and {one.effect}: rank correlation "
        f"{_signed(one.rho)} (Holm's p {_p(one.holm)}), {verdict}."
    ) + _driven(one)


def _driven(one: Relation) -> str:
    """Return the sentence on the groups and rows that a correlation rests on."""
    if one.driver is None:
        return ""
    return (
        f" Without one group it is {_signed(one.low)} to {_signed(one.high)} ({_label(one.kind, one.driver)} moves it "
        f"most), without each group's outermost rows {_signed(one.inner)}."
    )


def _without(one: Relation) -> str:
    if one.driver is None:
        return MISSING
    return f"{_signed(one.low)} to {_signed(one.high)}, {_label(one.kind, one.driver)}"


def _carried(found: Report) -> list[list]:
    """Return per behaviour and measure the outermost rows: their share of the sum of absolute values, and examples."""
    lines = []
    for group in found.of(BEHAVIOUR):
        rows = found.rows[found.rows["behaviour"] == group.name].dropna(subset="conflict").set_index("id")
        for measure, label in MEASURE.items():
            top = outermost(rows[measure])
            total = rows[measure].abs().sum()
            share = f"{100 * rows.loc[top, measure].abs().sum() / total:.0f} %" if total else MISSING
            inner = group.inner[measure]
            lines.append(
                [group.name, label, f"{len(top)} of {len(rows)}", share, f"{group.means[measure]:+.3f}"]
                + [MISSING if math.isnan(inner) else f"{inner:+.3f}", _commonest(rows.loc[top]), ", ".join(top[:3])]
            )
    return lines


def _commonest(rows: pd.DataFrame) -> str:
    """Return the commonest category of rows with its count."""
    counts = rows["category"].dropna().value_counts(sort=False).sort_index()
    if counts.empty:
        return MISSING
    category = int(counts.idxmax())
    return f"{category} {title(category)} ({counts.max()})"


def _category_heading(found: Report) -> str:
    if found.of_t1 is None:
        return "By category, T1 rows"
    sampler, n = found.of_t1
    return f"By category: its T1 rows, and what {n} rows of {short_label(sampler)} changed on its prompts"


def _sorted(groups: list[Group]) -> list[Group]:
    if groups[0].kind != SAMPLER:
        return groups
    order = in_order(group.name for group in groups)
    return sorted(groups, key=lambda group: order.index(group.name))


def _name(group: Group) -> str:
    if group.kind == BEHAVIOUR:
        return f"{group.name} ({' + '.join(BEHAVIOURS[group.name])})"
    return _label(group.kind, group.names)


def _label(kind: str, names: tuple[str, ...]) -> str:
    if kind == CATEGORY:
        return f"{names[0]} {title(int(names[0]))}"
    return " = ".join(short_label(name) if kind == SAMPLER else name for name in names)


def _means(group: Group) -> list[str]:
    means = [f"{group.means[each]:.3f} ± {group.sds[each]:.3f}" for each in ("loss", "increase", "conflict")]
    return [f"{group.rows:,}", *(text.replace(" ± nan", "") for text in means), f"{100 * group.conflicting:.0f} %"]


def _effect(group: Group, name: str) -> str:
    effect = group.effects.get(name)
    return MISSING if effect is None or math.isnan(effect.mean) else _interval(effect)


def _interval(effect: Estimate) -> str:
    if math.isnan(effect.low):
        return f"{effect.mean:+.2f}"
    return f"{effect.mean:+.2f} ({effect.low:+.2f} to {effect.high:+.2f})"


def _signed(rho: float) -> str:
    return MISSING if math.isnan(rho) else f"{rho:+.2f}"


def _p(p: float) -> str:
    if math.isnan(p):
        return MISSING
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _projected(found: Report) -> list[str]:
    return [
        f"Gradients are projected to {found.dimensions:,} numbers: a single row's conflict is off by about "
        f"{found.dimensions**-0.5:.3f}, a mean over many rows by less."
    ]


def _alone(found: Report) -> list[str]:
    effects = [effect for group in found.groups for effect in group.effects.values()]
    alone = sum(effect.over == PROMPTS_ONLY for effect in effects)
    fewest = min((effect.prompts for group in found.of(CATEGORY) for effect in group.effects.values()), default=0)
    said = [f"The smallest category has {fewest} prompts of {METRICS['harm'].label.lower()}."] if fewest else []
    return said + ([f"{alone} of {len(effects)} intervals are of one run and so over prompts only."] if alone else [])
