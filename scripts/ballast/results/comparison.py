"""Compare Tables 1, 2 and 4 cell by cell: the number that the paper printed and the one that this study measured.

The paper never says what its ± is. The band is the widest reading for the mean of ten trials: Student's 95 % interval
with ± as the standard error. The narrow band is the mean ± the printed number.
"""

import math

import pandas as pd
from scipy import stats
from tabulate import tabulate

from ballast.markup import MISSING, markdown, with_interval
from ballast.names import AS_IS, NONE, in_order, short_label
from ballast.published import MODELS, TEXT, TRIALS
from ballast.results import metrics, notes
from ballast.results.metrics import METRICS
from ballast.results.statistics import CONFIDENCE, NOTHING, PROMPTS_ONLY, TWO_WAY, Estimate
from ballast.study.artefacts import Options

BOTH, OURS, THEIRS = "both", "only here", "only in the paper"
ONE_RUN = "†"
COLUMNS = (
    *("table", "metric", "model", "paper_model", "sampler", "n", "cell"),
    *("paper_mean", "paper_pm", "band_low", "band_high"),
    *("mean", "low", "high", "over", "runs", "prompts"),
    *("difference", "difference_low", "difference_high", "within_printed", "within_band"),
)


def compare(number: int, options: Options, published: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return COLUMNS, one row per cell of either side. `published`: the paper's cells; `scores`: the study's."""
    (metric,) = options.judges
    theirs = published[published["table"].isin([str(number), TEXT]) & (published["metric"] == metric)]
    if number == 4:
        theirs = theirs[theirs["table"] == "4"]
    comparable = not metrics.other_unit(metric, options)
    printed = {(row.model, row.sampler, row.n): row for row in theirs.itertuples()}
    rows, met = [], set()
    groups = metrics.by_prompt(scores, metric, options).apart(lambda cell: cell[:2])
    for cell, ours in [(cell, one.estimate(cell)) for one in groups for cell in one]:
        model, _, sampler, n = cell
        if sampler == AS_IS or (number == 4 and sampler == NONE):
            continue
        key = (options.published.get(model) if comparable else None, sampler, n)
        met.add(key)
        rows.append(_row(number, metric, options.model_label(model), key, printed.get(key), ours))
    for key, row in printed.items():
        if key not in met:
            rows.append(_row(number, metric, "", key, row, NOTHING))
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    labels = [options.model_label(model) for model in options.experiment.models]
    order = {"model": [*labels, ""].index, "paper_model": [*MODELS, ""].index, "n": int}
    order["sampler"] = in_order(table["sampler"]).index
    table = table.sort_values(list(order), key=lambda column: column.map(order[column.name]))
    return table.round(6).reset_index(drop=True)


def to_markdown(number: int, table: pd.DataFrame, options: Options) -> str:
    """Return the comparison in Markdown: notes on comparability, the counts, then one row per cell."""
    (metric,) = options.judges
    matched, single = table[table["cell"] == BOTH], (table["over"] == PROMPTS_ONLY).any()
    said = [*_comparable(options), _summary(table, matched), *_readings(table, single), *notes.judged_by(options)]
    models = table["paper_model"].nunique() > 1 or table["model"].nunique() > 1
    body = [
        [*([markdown(row.model or row.paper_model)] if models else []), markdown(short_label(row.sampler)), row.n]
        + [_paper(row), _ours(row), _difference(row), _within(row)]
        for row in table.itertuples()
    ]
    header = [*(["Model"] if models else []), "Sampler", "n", "Paper", "Here", "Difference", "Within the paper's band"]
    title = f"# Table {number}, the paper's and this study's: {metrics.metric(metric, options).axis_label}"
    grid = tabulate(body, header, tablefmt="pipe", disable_numparse=True)
    return "\n\n".join([title, "\n".join(f"- {note}" for note in said), grid]) + "\n"


def _row(number: int, metric: str, model: str, key: tuple, printed, ours: Estimate) -> dict:
    paper_model, sampler, n = key
    mean, pm = (printed.mean, printed.pm) if printed else (math.nan, math.nan)
    half = Estimate(mean, pm, TRIALS - 1, TRIALS, 0, TWO_WAY).high - mean
    here = not math.isnan(ours.mean)
    apart = _apart(ours, mean, pm)
    inside = here and not math.isnan(pm)
    return {
        **{"table": number, "metric": metric, "model": model, "paper_model": paper_model or "", "sampler": sampler},
        **{"n": n, "cell": (BOTH if here else THEIRS) if printed else OURS},
        **{"paper_mean": mean, "paper_pm": pm, "band_low": mean - half, "band_high": mean + half},
        **{"mean": ours.mean, "low": ours.low, "high": ours.high, "over": ours.over if here else ""},
        **{"runs": ours.runs, "prompts": ours.prompts},
        **{"difference": apart.mean, "difference_low": apart.low, "difference_high": apart.high},
        "within_printed": abs(ours.mean - mean) <= pm + 1e-9 if inside else None,
        "within_band": abs(ours.mean - mean) <= half + 1e-9 if inside else None,
    }


def _apart(ours: Estimate, mean: float, pm: float) -> Estimate:
    """Return ours minus the paper's: Welch's interval, ± read as a standard error, or as 0 if none is printed."""
    theirs = 0.0 if math.isnan(pm) else pm
    variance = ours.se**2 + theirs**2
    parts = ours.se**4 / ours.freedom + theirs**4 / (TRIALS - 1) if ours.freedom > 0 else math.nan
    freedom = variance**2 / parts if parts else ours.freedom
    return Estimate(ours.mean - mean, math.sqrt(variance), freedom, ours.runs, ours.prompts, ours.over)


def _comparable(options: Options) -> list[str]:
    (name,) = options.judges
    if unit := metrics.other_unit(name, options):
        said = f"{METRICS[name].label} has the unit `{unit}` here, and `{METRICS[name].unit}` in the paper"
        return [f"**Not comparable with the paper.** {said}: both are listed, and no cell is compared."]
    unknown = [options.model_label(name) for name in options.experiment.models if name not in options.published]
    if options.synthetic:
        return [
            f"**Not comparable with the paper.** `{options.study}` is a synthetic study: its models are tiny and made "
            "here, its prompts and judges too. No cell of it stands for one of the paper's; both are listed."
        ]
    if unknown:
        return [
            f"**Not compared:** the config does not say that {', '.join(unknown)} is a model of the paper "
            "(`models.<name>.published`)."
        ]
    return []


def _summary(table: pd.DataFrame, matched: pd.DataFrame) -> str:
    counts = table["cell"].value_counts()
    said = f"Cells: {len(matched)} in both, {counts.get(THEIRS, 0)} only in the paper, {counts.get(OURS, 0)} only here."
    banded = matched[matched["within_band"].notna()]
    if banded.empty:
        return said + " Nothing can be compared."
    wide, narrow = (int(banded[name].astype(bool).sum()) for name in ("within_band", "within_printed"))
    return (
        f"{said} Of {len(banded)} with a ±, {wide} lie within the paper's band and {narrow} within mean ± as printed."
    )


def _readings(table: pd.DataFrame, single: bool) -> list[str]:
    quantile = stats.t.ppf((1 + CONFIDENCE) / 2, TRIALS - 1)
    said = [
        f"The paper does not say what its ± is. The band is the widest reading, ± as a standard error over {TRIALS} "
        f"trials: mean ± {quantile:.2f} times what is printed. Where nothing is printed there is no band.",
        "Here: 95 % interval, two-way over runs and prompts. Difference: here less the paper's, with the "
        "spread of both in its 95 % interval; a cell of the paper without ± is taken as it stands.",
    ]
    if (table["cell"].ne(OURS) & (table["sampler"] == NONE)).any():
        said.append(
            f"{short_label(NONE)}: in the paper's text, not in its table; for attack success it is an estimate."
        )
    if single:
        said.append(f"{ONE_RUN}: one run, so its interval is over prompts only and leaves out how runs differ.")
    return said


def _paper(row) -> str:
    return (
        MISSING
        if row.cell == OURS
        else with_interval(row.paper_mean, row.paper_mean - row.paper_pm, row.paper_mean + row.paper_pm)
    )


def _ours(row) -> str:
    if row.cell == THEIRS:
        return MISSING
    return with_interval(row.mean, row.low, row.high) + (f" {ONE_RUN}" if row.over == PROMPTS_ONLY else "")


def _difference(row) -> str:
    if row.cell != BOTH:
        return MISSING
    interval = (
        "" if math.isnan(row.difference_low) else f" ({row.difference_low + 0:.2f} to {row.difference_high + 0:.2f})"
    )
    return f"{row.difference + 0:+.2f}{interval}"


def _within(row) -> str:
    if row.cell != BOTH:
        return MISSING
    return "no ± printed" if row.within_band is None else "yes" if row.within_band else "no"
