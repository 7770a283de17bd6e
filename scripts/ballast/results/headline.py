"""Write the headline: seven lines with the place of the results and the main numbers."""

import math
from collections.abc import Sequence

import pandas as pd

from ballast.markup import with_interval
from ballast.names import AS_IS, NONE, RANDOM, sampler_label, short_label
from ballast.results import metrics, notes
from ballast.results.cells import Cells
from ballast.results.contrasts import gains
from ballast.results.metrics import Metric
from ballast.results.power import trials_said
from ballast.study.artefacts import Options

ABSENT = "not measured"
MOST = 3  # samplers named in a line


def headline(options: Options, paths: str | Sequence[str]) -> str:
    """Return seven lines of text from tables of scores; a missing number reads ABSENT."""
    scores = metrics.read_scores(paths)
    cells = {name: metrics.cells_measured(scores, name, options) for name in options.judges}
    units = {name: metrics.metric(name, options) for name in options.judges}
    metrics.require_cells(cells["harm"], paths, "the headline")
    sizes = sorted(options.experiment.n)
    n = sizes[(len(sizes) - 1) // 2]
    harm = metrics.by_sampler(scores, "harm", options)
    random = _value(cells["harm"], RANDOM, n, units["harm"])
    here = [row.sampler for row in gains(harm) if row.lower and row.n == n]

    def compared(name: str) -> str:
        """Return the samplers that lower harm, Random and base data alone, in one metric."""
        parts = [f"{short_label(sampler)} {_value(cells[name], sampler, n, units[name])}" for sampler in here[:MOST]]
        random, alone = (_value(cells[name], *key, units[name]) for key in ((RANDOM, n), (NONE, 0)))
        return ", ".join([*parts, f"Random {random}", f"no safety data {alone}"])

    model = options.model_label(options.experiment.models[0])
    every = pd.concat(cells.values())
    return (
        "\n".join(
            [
                f"Ballast, study {options.study}: look in results/{options.study}/ for Tables 1-4 and Figures 2-7.",
                f"Harm of {model}, {sampler_label(AS_IS).lower()}: {_value(cells['harm'], AS_IS, 0, units['harm'])}",
                f"Harm after fine-tuning without safety data: {_value(cells['harm'], NONE, 0, units['harm'])}",
                f"Harm with n = {n}: {_against_random(harm, n, random, units['harm'])}",
                f"Attack success with n = {n}: {compared('asr')}",
                f"Over-refusal with n = {n}: {compared('over_refusal')}",
                " ".join(
                    [notes.intervals(every, notes.mark(options)), notes.counts(every), *notes.synthetic(options)]
                ).replace("`", ""),
            ]
        )
        + "\n"
    )


def _at(cells: pd.DataFrame, sampler: str, n: int) -> pd.DataFrame:
    return cells[(cells["sampler"] == sampler) & (cells["n"] == n) & cells["mean"].notna()]


def _value(cells: pd.DataFrame, sampler: str, n: int, metric: Metric) -> str:
    there = _at(cells, sampler, n)
    if there.empty:
        return ABSENT
    row = there.iloc[0]
    return with_interval(row["mean"], row["low_t"], row["high_t"], 1 if metric.rate else 2) + " %" * metric.rate


def _against_random(harm: Cells, n: int, random: str, metric: Metric) -> str:
    """Return Random's harm, and the samplers with significantly less, or how many trials would decide."""
    tested = [row for row in gains(harm) if not math.isnan(row.p_holm)]
    if not tested:
        return f"Random {random}; no sampler shares two trials with it, so no difference has a p-value."
    after = f"after Holm's correction for {len(tested)} comparisons"
    lower = [row for row in tested if row.lower]
    here = [row for row in lower if row.n == n]
    said = [f"{short_label(row.sampler)} {metric.signed(row.found)}" for row in here[:MOST]]
    if said:
        more = f", and {len(here) - MOST} more" if len(here) > MOST else ""
        return f"Random {random}. Significantly less {after}: {', '.join(said)}{more}."
    if lower:
        return f"Random {random}. No sampler has significantly less here {after}; tables/contrasts.md has every n."
    row = tested[0]
    trials = trials_said(harm.trials_needed(row.key, (RANDOM, row.n), len(tested))[0])
    return (
        f"Random {random}. No sampler has significantly less {after}. The smallest p is that of "
        f"{short_label(row.sampler)} at n = {row.n}, {metric.signed(row.found)}: if that is the true difference, "
        f"{trials} would show it in 80 % of studies."
    )
