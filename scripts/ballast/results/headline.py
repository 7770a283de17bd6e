"""Write the headline: seven lines with the place of the results and the main numbers."""

from collections.abc import Sequence

import pandas as pd

from ballast.markup import plus_minus
from ballast.names import AS_IS, NONE, RANDOM, REFERENCES, sampler_label, short_label
from ballast.results import metrics, notes
from ballast.results.metrics import Metric
from ballast.study.artefacts import Options

ABSENT = "not measured"


def headline(options: Options, paths: str | Sequence[str]) -> str:
    """Return seven lines of text from tables of scores; a missing number reads ABSENT."""
    scores = metrics.read_scores(paths)
    cells = {name: metrics.cells(metrics.measure(scores, name, options)) for name in options.judges}
    units = {name: metrics.metric(name, options) for name in options.judges}
    metrics.require_cells(cells["harm"], paths, "the headline")
    sizes = sorted(options.experiment.n)
    n = sizes[(len(sizes) - 1) // 2]
    best = _lowest(cells["harm"], n)
    ours = f"{short_label(best)} {{}}, " if best else ""

    def compared(name: str) -> str:
        """Return the best sampler by harm, Random and base data alone, in one metric."""
        table, unit = cells[name], units[name]
        return ours.format(_value(table, best, n, unit)) + (
            f"Random {_value(table, RANDOM, n, unit)}, no safety data {_value(table, NONE, 0, unit)}"
        )

    model = options.model_label(options.experiment.models[0])
    every = pd.concat(cells.values())
    return (
        "\n".join(
            [
                f"Ballast, study {options.study}: look in results/{options.study}/ for Tables 1-4 and Figures 2-7.",
                f"Harm of {model}, {sampler_label(AS_IS).lower()}: {_value(cells['harm'], AS_IS, 0, units['harm'])}",
                f"Harm after fine-tuning without safety data: {_value(cells['harm'], NONE, 0, units['harm'])}",
                f"Harm with n = {n}: {_against_random(cells['harm'], best, n, units['harm'])}",
                f"Attack success with n = {n}: {compared('asr')}",
                f"Over-refusal with n = {n}: {compared('over_refusal')}",
                " ".join([notes.intervals(every, "±"), notes.counts(every), *notes.synthetic(options)]).replace(
                    "`", ""
                ),
            ]
        )
        + "\n"
    )


def _at(cells: pd.DataFrame, sampler: str | None, n: int) -> pd.DataFrame:
    return cells[(cells["sampler"] == sampler) & (cells["n"] == n) & cells["mean"].notna()]


def _value(cells: pd.DataFrame, sampler: str | None, n: int, metric: Metric) -> str:
    there = _at(cells, sampler, n)
    if there.empty:
        return ABSENT
    unit = " %" if metric.rate else ""
    return plus_minus(there["mean"].iloc[0], there["half"].iloc[0], decimals=1 if unit else 2) + unit


def _lowest(cells: pd.DataFrame, n: int) -> str | None:
    """Return the sampler with the lowest mean at n, Random and the references aside."""
    there = cells[(cells["n"] == n) & ~cells["sampler"].isin([RANDOM, *REFERENCES]) & cells["mean"].notna()]
    return None if there.empty else there.loc[there["mean"].idxmin(), "sampler"]


def _against_random(cells: pd.DataFrame, best: str | None, n: int, metric: Metric) -> str:
    """Return the best sampler, Random, and their difference in percent."""
    random = f"Random {_value(cells, RANDOM, n, metric)}"
    if best is None:
        return random
    ours, theirs = _at(cells, best, n)["mean"], _at(cells, RANDOM, n)["mean"]
    count = cells.loc[(cells["n"] == n) & ~cells["sampler"].isin([RANDOM, *REFERENCES]), "sampler"].nunique()
    text = f"{short_label(best)} {_value(cells, best, n, metric)} (the lowest of {count} samplers), {random}"
    if theirs.empty or theirs.iloc[0] <= 0:
        return text
    change = 100 * (ours.iloc[0] / theirs.iloc[0] - 1)
    return f"{text}: {abs(change):.1f} % {'lower' if change < 0 else 'higher'}"
