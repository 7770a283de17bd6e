"""Put the comparison of pools with the same requests and other responses into words and tables."""

import math

from ballast.markup import MISSING, markdown, pipe_table
from ballast.names import short_label
from ballast.results.metrics import metric
from ballast.results.swapping import Difference, Swap, Swapped
from ballast.study.artefacts import Options

MEASURES = {"conflict": "conflict", "increase": "loss increase"}
EFFECTS = {"harm": "harm", "over_refusal": "over-refusal"}
DIGITS = {"conflict": 3, "increase": 3, "harm": 2, "over_refusal": 1}


def sentences(found: Swapped) -> list[str]:
    """Return the comparison in a few lines, each with its numbers."""
    said, usual = [], {}
    # The usual change of each behaviour; the table has all.
    for one in sorted(found.behaviours, key=lambda one: one.pairs):
        usual[one.name.split()[0]] = one
    for _, one in sorted(usual.items()):
        changes = ", ".join(_told(one, name) for name in MEASURES)
        said.append(f"{one.pairs:,} requests, {one.name} with another response: {changes}.")
    for one in found.samplers:
        if changes := ", ".join(_told(one, name) for name in EFFECTS if name in one.differences):
            said.append(f"The requests of {_cell(one)} with another response: {changes}.")
    return said + [line for name in MEASURES if (line := _agreement(found, name))]


def _agreement(found: Swapped, name: str) -> str:
    """Return the sentence on the cells in which a measure and harm change in opposite directions."""
    cells = [one.differences for one in found.samplers if "harm" in one.differences]
    decided = [one for one in cells if one["harm"].holm < 0.05 and one[name].holm < 0.05]
    if not cells:
        return ""
    opposite = sum(one[name].mean * one["harm"].mean < 0 for one in decided)
    return (
        f"Both {MEASURES[name]} and harm change significantly in {len(decided)} of {len(cells)} cells. In {opposite} "
        "of these, less of the one goes with more of the other."
    )


def section(found: Swapped, options: Options) -> list[str]:
    """Return the parts of the page: a heading, both tables, and notes."""
    first, second = map(markdown, found.pools)
    header = ["Behaviour", "Pairs", *map(str.capitalize, MEASURES.values()), "Cosine"]
    lines = [[one.name, f"{one.pairs:,}", *_cells(one, MEASURES), _cosine(one)] for one in found.behaviours]
    parts = [f"## The same requests with other responses: {second} minus {first}", pipe_table(header, lines)]
    if found.samplers:
        header = ["Picked by", *header[1:], *map(str.capitalize, EFFECTS.values())]
        lines = [
            [_cell(one), f"{one.pairs:,}", *_cells(one, MEASURES), _cosine(one), *_cells(one, EFFECTS)]
            for one in found.samplers
        ]
        parts.append(pipe_table(header, lines))
    return [*parts, "\n".join(f"- {note}" for note in _notes(found, options))]


def _notes(found: Swapped, options: Options) -> list[str]:
    unit = "in points" if metric("harm", options).rate else "as a score"
    counts = found.counts
    left = ", ".join(f"{times:,} {why}" for why, times in counts.items() if why not in ("rows", "pairs") and times)
    lacking = [f"{_cell(one)} {max(one.lacking.values())}" for one in found.samplers if any(one.lacking.values())]
    none = [_cell(one) for one in found.samplers if "harm" not in one.differences]
    said = [
        f"Rows of {found.pools[0]}: {counts['rows']:,} = {counts['pairs']:,} pairs" + (f", {left}." if left else "."),
        f"Each cell: the mean difference (95 % interval; Holm's p over all tests of both tables). Harm {unit}, "
        "over-refusal in points. Conflict and loss increase: Student's t over requests. Harm and over-refusal: runs on "
        "the same requests with the same seed, paired over trials and prompts, two-way bootstrap.",
        "Cosine: mean ± standard deviation, over pairs, of the cosine of the two rows' gradients; 1 means that both "
        "teach the same.",
        "Only the responses differ between the two sides, so a difference is their effect, for these requests and this "
        "model. Their length is a part of it: it changes tokens and batches. It does not show that the gradients carry "
        "the effect.",
    ]
    said += [f"Trials without a counterpart in the other pool, left out: {', '.join(lacking)}."] if lacking else []
    return said + ([f"Without runs in both pools: {', '.join(none)}."] if none else [])


def _cell(one: Swap) -> str:
    return f"{short_label(one.name)}, n = {one.n}"


def _cells(one: Swap, names) -> list[str]:
    return [_difference(one.differences.get(name), DIGITS[name]) for name in names]


def _told(one: Swap, name: str) -> str:
    change = one.differences[name]
    verdict = "" if math.isnan(change.holm) else ", significant" if change.holm < 0.05 else ", not significant"
    return f"{(MEASURES | EFFECTS)[name]} {_difference(change, DIGITS[name])}{verdict}"


def _difference(change: Difference | None, digits: int) -> str:
    if change is None or math.isnan(change.mean):
        return MISSING
    mean = f"{change.mean:+.{digits}f}"
    if math.isnan(change.low):
        return mean
    p = MISSING if math.isnan(change.holm) else "p < 0.001" if change.holm < 0.001 else f"p {change.holm:.3f}"
    return f"{mean} ({change.low:+.{digits}f} to {change.high:+.{digits}f}; {p})"


def _cosine(one: Swap) -> str:
    mean, sd = one.cosine
    return MISSING if math.isnan(mean) else f"{mean:.3f}" + ("" if math.isnan(sd) else f" ± {sd:.3f}")
