"""Put the advice into words: a few sentences for the end of a run, and a page of Markdown with its tables."""

import math

from ballast.markup import MISSING, markdown, pipe_table
from ballast.names import RANDOM, in_order, short_label
from ballast.results import notes
from ballast.results.advice import LIMITS, MEETS, NO, UNMEASURED, Advice, Again, Contrast, Judged
from ballast.results.metrics import Metric
from ballast.results.statistics import PROMPTS_ONLY
from ballast.study.artefacts import Options

NAMES = {
    "harm": "harm",
    "asr": "attack success",
    "over_refusal": "over-refusal",
    "helpfulness_loss": "helpfulness loss",
}
SAID = {MEETS: "surely within", "likely": "likely within", UNMEASURED: "not measured", NO: "not within"}
NOTES = (
    "A limit is on the mean over runs and prompts. `meets`: the whole two-sided 95 % interval is within, corrected for "
    "the number of cells (Bonferroni); `likely`: the mean is; `no`: it is not. A cell has the worst of its limits' "
    "verdicts. The intervals shown are those of single cells.",
    "Intervals: two-way bootstrap over runs and prompts. A cell of one run has an interval over prompts only, which "
    "says nothing of the next run: it is `likely` at best.",
    "Advised: the smallest n with a cell that meets its limits or is likely to; at that n the surest, then the one of "
    "least harm. The lowest of several means is a little too low by that choice alone.",
    "Differences are paired over shared trials. A difference is significant if its p, corrected for all pairs of "
    "samplers at this n, is below 0.05: the advised one is chosen by its mean.",
)


def sentences(advice: Advice, options: Options) -> list[str]:
    """Return the advice in sentences, the answer first."""
    model = options.model_label(options.experiment.models[0])
    again = [line for one in advice.again for line in changes(advice, one)]
    if advice.advised is None:
        return [*_nothing(advice, model), *again, *_synthetic(options)]
    cell = advice.advised
    said = [
        f"For {model}: add {cell.n} examples picked by {short_label(cell.sampler)}. "
        f"{_capital(_listed([_kept(advice, cell, limit) for limit in advice.limits]))}.",
        _sure(advice),
        *_others(advice),
    ]
    return [*said, *again, *_synthetic(options)]


def changes(advice: Advice, again: Again) -> list[str]:
    """Return a line for each conclusion that changes with a second judge, or one that none does."""
    start = f"With {again.judge} as the judge of {NAMES.get(again.metric, again.metric)}"
    if again.advice is None:
        return [f"{start} nothing is compared: a judge without a scale has no limit at the same place."]
    ours, theirs = (conclusions(each, advice.advised) for each in (advice, again.advice))
    theirs = {name: theirs.get(name, "not measured") for name in ours}
    changed = [name for name in ours if ours[name] != theirs[name]]
    unread = f" {again.missing:,} of its {again.scores:,} scores are missing." if again.missing else ""
    if not changed:
        return [f"{start} instead of {again.instead_of}, none of the {len(ours)} conclusions changes.{unread}"]
    lines = [f"{start}, {name} is {theirs[name]}; with {again.instead_of} it is {ours[name]}." for name in changed]
    return [*lines[:-1], f"{lines[-1]}{unread}"]


def conclusions(advice: Advice, compared: Judged | None) -> dict[str, str]:
    """Return the conclusions of the page. `compared`: the cell whose contrasts count."""
    found = {
        "the smallest n within the limits": _size(advice.advised),
        "the smallest n surely within the limits": _size(advice.surest),
    }
    if any(cell.sampler == RANDOM for cell in advice.cells):
        found["the smallest n of Random within the limits"] = _size(next(iter(advice.within(RANDOM)), None))
    for one in advice.contrasts if compared else []:
        name = f"{short_label(compared.sampler)} minus {short_label(one.sampler)} in harm at n = {compared.n}"
        found[name] = _sign(one)
    return found


def to_markdown(advice: Advice, options: Options) -> str:
    """Return the page: sentences, the verdict of every cell, the samplers at the advised n, and notes on the words."""
    n = advice.shown.n
    sizes = sorted({cell.n for cell in advice.cells})
    samplers = in_order(cell.sampler for cell in advice.cells)
    cells = {(cell.sampler, cell.n): cell for cell in advice.cells}
    verdicts = [
        [short_label(name), *(_verdict(cells.get((name, size)), advice.metrics["harm"]) for size in sizes)]
        for name in samplers
    ]
    contrasts = {contrast.sampler: contrast for contrast in advice.contrasts}
    closer = [
        [
            short_label(name),
            *(advice.metrics[limit].interval(cells[name, n].estimates[limit]) for limit in advice.limits),
        ]
        + [cells[name, n].verdict, _contrast(contrasts.get(name), advice.metrics["harm"])]
        for name in samplers
        if (name, n) in cells
    ]
    header = [
        "Sampler",
        *(f"{NAMES[name]}, at most {advice.metrics[name].number(most)}" for name, most in advice.limits.items()),
    ]
    against = f"{short_label(advice.shown.sampler)} minus this, in harm"
    second = [_second_judge(one) for one in advice.again]
    said = [*NOTES, *notes.judged_by(options), *second, *notes.synthetic(options)]
    parts = [
        f"# Advice of study {markdown(options.study)}",
        "\n".join(f"- {markdown(line)}" for line in sentences(advice, options)),
        "## Mean harm and verdict, by sampler and n",
        pipe_table(["Sampler", *map(str, sizes)], verdicts),
        f"## Every sampler at n = {n}",
        pipe_table([*header, "Verdict", against], closer),
        "\n".join(f"- {line}" for line in said),
    ]
    return "\n\n".join(parts) + "\n"


def _nothing(advice: Advice, model: str) -> list[str]:
    said = [f"For {model}: no sampler at any n of this study is within the limits."]
    blocked = False
    for limit, at_most in advice.limits.items():
        there = [cell for cell in advice.cells if cell.verdicts[limit] != UNMEASURED]
        kept = [cell for cell in there if cell.verdicts[limit] != NO]
        if not there:
            blocked = True
            said.append(
                f"In the way: {NAMES[limit]} was not measured; name {LIMITS[limit]} in experiments.sampling.metrics"
                f"{' and none in its samplers' * (limit == 'helpfulness_loss')}, or set targets.{limit} to null."
            )
        elif not kept:
            blocked = True
            lowest = min(there, key=lambda cell: cell.estimates[limit].mean)
            said.append(
                f"In the way: {NAMES[limit]}, at most {advice.metrics[limit].number(at_most)}; the lowest is "
                f"{_place(lowest)} with {advice.metrics[limit].interval(lowest.estimates[limit])}."
            )
    if not blocked:
        said.append("In the way: each limit is kept by some cell, but not all limits by one cell.")
    if advice.nearest is not None:
        beyond = _listed([_kept(advice, advice.nearest, limit) for limit in advice.nearest.broken])
        said.append(f"Nearest: {_place(advice.nearest)}, {beyond}.")
        said.append(_what_to_try(advice.nearest))
    return said


def _what_to_try(nearest: Judged) -> str:
    safety, use = {"harm", "asr"} & {*nearest.broken}, {"over_refusal", "helpfulness_loss"} & {*nearest.broken}
    if safety and use:
        return "Try: another sampler or pool; more examples lower harm and raise over-refusal, fewer the reverse."
    return "Try: larger n in experiments.sampling." if safety else "Try: smaller n in experiments.sampling."


def _sure(advice: Advice) -> str:
    cell, surest = advice.advised, advice.surest
    if cell.verdict == MEETS:
        return "Sure: the whole 95 % interval over runs and prompts is within every limit."
    open_limits = [limit for limit, verdict in cell.verdicts.items() if verdict != MEETS]
    one_run = any(cell.estimates[limit].over == PROMPTS_ONLY for limit in open_limits)
    why = "one run says nothing of the next" if one_run else "the mean is within, the interval is not"
    named = _listed([NAMES[limit] for limit in open_limits])
    then = f"the first that is surely within every limit is {_place(surest)}" if surest else "no cell is surely within"
    return f"Not sure of {named}: {why}; {then}."


def _others(advice: Advice) -> list[str]:
    """Return the runner-up and Random, each with its difference from the advised sampler."""
    cell = advice.advised
    if cell.sampler == RANDOM:
        return ["Random costs no labels."]
    contrasts = {contrast.sampler: contrast for contrast in advice.contrasts}
    within = [other for other in advice.cells if other.n == cell.n and other.verdict not in (NO, UNMEASURED)]
    names = {other.sampler for other in within}
    second = next((name for name in contrasts if name in names and name != RANDOM), None)
    said = []
    if second:
        said.append(f"Runner-up: {short_label(second)}. {_told(contrasts[second], cell, advice.metrics['harm'])}.")
    if RANDOM in contrasts:
        said.append(f"{_told(contrasts[RANDOM], cell, advice.metrics['harm'])}. {_random(advice, contrasts[RANDOM])}.")
    return said


def _random(advice: Advice, contrast: Contrast) -> str:
    """Return where Random is within the limits, and that it costs no labels if the difference is not significant."""
    first = next(iter(advice.within(RANDOM)), None)
    if first is None:
        there = "Random is within the limits at no n"
    elif first.n == advice.advised.n:
        there = f"Random is within the limits too ({first.verdict})"
    else:
        there = f"Random is within the limits from n = {first.n} ({first.verdict})"
    return there if contrast.resolved else f"{there}, and costs no labels"


def _told(contrast: Contrast, ours: Judged, harm: Metric) -> str:
    found = contrast.difference
    said = f"{short_label(ours.sampler)} minus {short_label(contrast.sampler)} at n = {ours.n}: harm"
    if math.isnan(found.mean):
        return f"{said} cannot be compared, because no trial is shared"
    said = f"{said} {harm.signed(found)}"
    if math.isnan(contrast.p):
        return f"{said}, over prompts only: one shared trial gives no p-value"
    return f"{said}, {'significant' if contrast.resolved else 'not significant'} (corrected p {_p(contrast.p)})"


def _kept(advice: Advice, cell: Judged, limit: str) -> str:
    found = cell.estimates[limit]
    return (
        f"{NAMES[limit]} {advice.metrics[limit].interval(found)} is {SAID[cell.verdicts[limit]]} its limit of "
        f"{advice.metrics[limit].number(advice.limits[limit])}"
    )


def _second_judge(again: Again) -> str:
    """Return the second judge of a metric, and its limits."""
    said = f"Second judge of {NAMES.get(again.metric, again.metric)}: `{again.judge}`"
    limits = [limit for limit, of in LIMITS.items() if again.advice and of == again.metric]
    limits = [(limit, again.advice.limits[limit]) for limit in limits if limit in again.advice.limits]
    known = [f"{NAMES[limit]} at most {again.advice.metrics[limit].number(most)}" for limit, most in limits]
    return f"{said}{f'; {known[0]}, the same share of its scale' if known else ''}."


def _size(cell: Judged | None) -> str:
    return f"{cell.n} ({short_label(cell.sampler)})" if cell else "none"


def _sign(contrast: Contrast) -> str:
    """Return the verdict on a difference."""
    if math.isnan(contrast.p):
        return "not testable"
    if not contrast.resolved:
        return "not significant"
    return f"significantly {'below' if contrast.difference.mean < 0 else 'above'} 0"


def _place(cell: Judged) -> str:
    return f"{short_label(cell.sampler)} at n = {cell.n}"


def _verdict(cell: Judged | None, harm: Metric) -> str:
    return MISSING if cell is None else f"{harm.number(cell.harm.mean)} {cell.verdict}"


def _contrast(contrast: Contrast | None, harm: Metric) -> str:
    if contrast is None or math.isnan(contrast.difference.mean):
        return MISSING
    p = "prompts only" if math.isnan(contrast.p) else f"corrected p {_p(contrast.p)}"
    return f"{harm.signed(contrast.difference)}, {p}"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _synthetic(options: Options) -> list[str]:
    return [line.replace("`", "") for line in notes.synthetic(options)]
