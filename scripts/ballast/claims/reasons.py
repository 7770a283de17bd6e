"""Name the cells of a claim in the reason for its verdict, as briefly as they differ."""

import math
from collections import Counter
from collections.abc import Sequence

from ballast.claims.grids import Cell, Contrast
from ballast.names import short_label
from ballast.results.metrics import METRICS

NAMED = 7  # a reason names at most this many cells one by one


def either(contrast: Contrast) -> str:
    return " and ".join(contrast.single) or "one sampler"


def named(pair: tuple[Cell, Cell], among: Sequence[tuple[Cell, Cell]]) -> str:
    """Name a pair by sampler, n and those of metric, model and control that differ among the pairs."""
    ours, theirs = pair
    name = short_label(ours.sampler) + (f"@{ours.n}" if ours.n else "")
    more = [
        label
        for label, several in (
            (METRICS[ours.metric].label.lower(), len({one.metric for one, _ in among}) > 1),
            (ours.model, len({one.model for one, _ in among}) > 1),
            (f"against {_name(theirs, ours)}", len({(one.sampler, other.sampler) for one, other in among}) > 1),
        )
        if several and not (label.startswith("against") and len({other.sampler for _, other in among}) == 1)
    ]
    return name + (f" ({', '.join(more)})" if more else "")


def _name(theirs: Cell, ours: Cell) -> str:
    return short_label(theirs.sampler) + (f"@{theirs.n}" if theirs.n not in (0, ours.n) else "")


def listed(pairs: Sequence[tuple[Cell, Cell]], among: Sequence[tuple[Cell, Cell]]) -> str:
    """Name up to NAMED pairs; count more by sampler, or list the first if there is one sampler."""
    kinds = {(one.sampler, one.metric, one.model, other.sampler) for one, other in among}
    if len(kinds) == 1:
        return f"n = {', '.join(str(ours.n) for ours, _ in pairs)}"
    if len(pairs) <= NAMED:
        return ", ".join(named(pair, among) for pair in pairs)
    samplers = Counter(short_label(ours.sampler) for ours, _ in pairs)
    if len({ours.sampler for ours, _ in among}) > 1:
        return ", ".join(f"{count} of {sampler}" for sampler, count in samplers.items())
    return ", ".join(named(pair, among) for pair in pairs[:NAMED]) + f" and {len(pairs) - NAMED} more"


def most_of(pairs: Sequence[tuple[Cell, Cell]], among: Sequence[tuple[Cell, Cell]]) -> str:
    """Name the pairs, or the pairs that are not among them if those are few."""
    others = [pair for pair in among if pair not in pairs]
    if not pairs or not others:
        return "all" if pairs else "none"
    return f"all but {listed(others, among)}" if len(others) < 3 else listed(pairs, among)


def at(cell: Cell) -> str:
    return short_label(cell.sampler) + (f"@{cell.n}" if cell.n else "")


def lacking(contrasts: list[Contrast]) -> str:
    """Return the first score that a study lacks, which leaves the claim open; empty if it has all."""
    if not contrasts:
        return "an experiment or a size of it"
    missing = [one for one in contrasts if math.isnan(one.estimate.mean)]
    if not missing:
        return ""
    first = missing[0]
    names = " or ".join(dict.fromkeys((first.ours.sampler, first.theirs.sampler)))
    return f"a score for {METRICS[first.ours.metric].label.lower()} of {names}" + (
        f" at n = {first.ours.n}" if first.ours.n else ""
    )
