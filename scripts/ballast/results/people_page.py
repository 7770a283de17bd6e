"""Write how far judges agree with people, and what their errors do to metrics and contrasts: a page and a CSV."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ballast.labels import responses
from ballast.labels.responses import METHOD
from ballast.markup import MISSING, markdown, pipe_table
from ballast.names import AS_IS, QUESTIONS, short_label
from ballast.results import people
from ballast.results.metrics import METRICS
from ballast.results.people import ALL, FEWEST, HALF, Estimate, Labelled

COLUMNS = (
    *("part", "metric", "about", "other", "model", "pool", "sampler", "n", "value", "low", "high"),
    *("judge", "bias", "bias_low", "bias_high", "labelled", "needed", "responses"),
)
RATES = {"harmful": "harmful responses", "refusal": "refusals"}
NOTES = (
    "People's label defines the truth: a response counts with the share of its annotators that say yes. Rates are of "
    "the study's responses; all intervals are 95 %.",
    "People: the prediction-powered estimate, which is the mean prediction over all responses plus the weighted mean "
    "of people's label minus prediction over the labelled ones. The prediction is a line in the judge's score, fitted "
    "to the labels. The interval covers the choice of labelled responses; runs and prompts are fixed.",
    "It assumes that labelled responses were drawn at random (the key has their probabilities), and that people's "
    "answer does not decide whether a drawn response has one.",
    "Bias: the judge's rate minus people's. A judge says yes from the middle of its scale up, so the rate of a judge "
    "of harm is the share of harmful responses, not its mean score.",
    f"{MISSING}: fewer than {FEWEST} labelled responses of a method. Needed: labelled responses for an interval of "
    f"± {100 * HALF:g} points.",
)


@dataclass
class Page:
    """The parts of the Markdown, and the rows of the CSV."""

    parts: list[str] = field(default_factory=list)
    rows: list[dict] = field(default_factory=list)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        self.parts.append(pipe_table(header, rows))

    @property
    def data(self) -> pd.DataFrame:
        table = pd.DataFrame(self.rows, columns=list(COLUMNS)).round(6)
        return table.astype(dict.fromkeys(("labelled", "needed", "responses"), "Int64"))


def document(
    heading: str,
    said: Sequence[str],
    units: pd.DataFrame,
    key: pd.DataFrame,
    answers: pd.DataFrame,
    judges: dict[str, str],
    before: str | None = None,
) -> Page:
    """Return the page and its rows.

    `units`: `responses.population`; `key`: the drawn units; `answers`: by id and annotator; `judges`: by metric;
    `before`: the model from which others differ, if the study compares models.
    """
    page = Page([f"# {heading}", "\n".join(f"- {note}" for note in (*said, *NOTES))])
    _annotators(page, answers)
    label = people.labels(answers)
    read = (answers == "unclear").any(axis=1)
    key = key.assign(label=key["id"].map(label), unclear=key["id"].map(read & label.isna()))
    known = {name: Labelled(units[units["metric"] == name], key[key["metric"] == name]) for name in judges}
    _drawn(page, known, key)
    for name, labelled in known.items():
        _metric(page, name, judges[name], labelled, before)
    return page


def _annotators(page: Page, answers: pd.DataFrame) -> None:
    counts = list(responses.counts(answers))
    page.parts.append("## Annotators")
    page.table(list(counts[0]), [list(row.values()) for row in counts])
    for row in counts:
        for kind in ("yes", "no", "unclear", "not answered"):
            page.rows.append({"part": "answers", "about": row["annotator"], "other": kind, "responses": row[kind]})
    found = list(people.between(answers))
    if not found:
        page.parts.append("One annotator, so nothing shows how far people agree with each other.")
        return
    grid = []
    for row in found:
        alone = row["first"] == ALL
        names = "all" if alone else f"{row['first']} and {row['second']}"
        measure = "Krippendorff's alpha" if alone else "Cohen's kappa"
        grid.append([names, row["n"], _share(row["agreement"]), measure, _number(row["value"])])
        about = {"part": "between annotators", "about": row["first"], "other": row["second"]}
        page.rows.append(about | {"value": row["value"], "labelled": row["n"]})
    page.table(["Annotators", "Rows both answered", "Agree", "Measure", "Value"], grid)


def _drawn(page: Page, known: dict[str, Labelled], key: pd.DataFrame) -> None:
    grid = []
    for name, labelled in known.items():
        drawn = key[key["metric"] == name]
        there, unclear = int(drawn["label"].notna().sum()), int(drawn["unclear"].sum())
        row = [len(drawn), there, unclear, len(drawn) - there - unclear]
        strata = drawn["stratum"].nunique()
        grid.append([METRICS[name].label, len(labelled.units), *row, strata, labelled.merged])
        for kind, count in zip(("drawn", "labelled", "unclear", "not answered"), row, strict=True):
            page.rows.append({"part": "drawn", "metric": name, "about": kind, "responses": count})
    page.parts += ["## Drawn responses"]
    page.table(["Metric", "Responses", "Drawn", "Labelled", "Unclear", "Not answered", "Strata", "Without label"], grid)
    page.parts.append("A stratum without a label has the labels of its neighbour, the next band of the same method.")


def _metric(page: Page, name: str, judge: str, labelled: Labelled, before: str | None) -> None:
    page.parts.append(f"## {METRICS[name].label}: people and {markdown(judge)}")
    if labelled.known.empty:
        page.parts.append("No labelled response.")
        return
    page.parts.append(_agreement(page, name, judge, people.against_judge(labelled)))
    intercept, slope, _ = labelled.line
    ends = [_share(intercept), _share(intercept + slope)]
    page.parts.append(f"Prediction: people say yes to {ends[0]} at the lowest score and {ends[1]} at the highest.")
    grid = []
    for row in people.calibration(labelled):
        value, low, high = (row.get(one, math.nan) for one in ("people", "low", "high"))
        grid.append([row["band"], row["responses"], row["labelled"], _number(row["score"]), _rate(value, low, high)])
        about = {"part": "calibration", "metric": name, "about": row["band"], "judge": row["score"]}
        counts = {"labelled": row["labelled"], "responses": row["responses"]}
        page.rows.append(about | counts | {"value": value, "low": low, "high": high})
    page.table(["Score", "Responses", "Labelled", "Mean score", f"People: {RATES[QUESTIONS[name]]}"], grid)
    header = ["Method", "n", "Labelled", "Needed", "Judge", "People", "Bias"]
    rates = [(cell, labelled.rate(cell)) for cell in people.cells(labelled.units)]
    page.table(header, list(_rows(page, "rate", name, rates)))
    differences = [
        (ours, labelled.difference(ours, theirs)) for ours, theirs in people.contrasts(labelled.units, before)
    ]
    if differences:
        base = f"model minus {markdown(before)}" if before else "method minus Random"
        page.parts.append(f"Each {base}, in percentage points:")
        page.table(header, list(_rows(page, "contrast", name, differences)))


def _agreement(page: Page, name: str, judge: str, found: dict) -> str:
    page.rows += [
        {"part": measure, "metric": name, "about": "people", "other": judge, "labelled": found["n"]}
        | {"value": found[measure], "low": found[f"{measure}_low"], "high": found[f"{measure}_high"]}
        for measure in ("agreement", "kappa")
        if measure in found
    ]
    kinds = ("both", "people_only", "judge_only", "neither")
    shares = found.get("confusion", np.full(4, math.nan))
    page.rows += [
        {"part": "confusion", "metric": name, "about": kind, "value": share, "labelled": found[kind]}
        for kind, share in zip(kinds, shares, strict=True)
    ]
    if not found["n"]:
        return "No labelled response has a score and a majority of people."
    kappa = f"{_number(found['kappa'])} ({_number(found['kappa_low'])} to {_number(found['kappa_high'])})"
    names = ("both say yes", "people alone", "the judge alone", "neither")
    counted = ", ".join(
        f"{said} {_share(share)} ({found[kind]} labelled)"
        for said, kind, share in zip(names, kinds, shares, strict=True)
    )
    agree = _rate(found["agreement"], found["agreement_low"], found["agreement_high"])
    left = f"{found['ties']} ties between annotators and {found['unread']} responses without a score are left out."
    return f"{found['n']} responses: agreement {agree}, Cohen's kappa {kappa}; {counted}. {left}"


def _rows(page: Page, part: str, name: str, found: list[tuple[dict, Estimate]]) -> Iterator[list]:
    signed = part != "rate"
    several = len({cell["model"] for cell, _ in found}) > 1
    for cell, one in found:
        sizes = cell.get("n", ALL)
        n = sizes if isinstance(sizes, int) else sizes[0] if len(sizes) == 1 else ALL
        low, high = one.interval
        bias = (one.bias, one.bias - one.half, one.bias + one.half)
        method = short_label(cell["sampler"])
        shown = f"{cell['model']}, {method}" if several or cell["sampler"] == AS_IS else method
        judge = _points(one.judge) if signed else _share(one.judge)
        value = _points(one.people, low, high) if signed else _rate(one.people, low, high)
        yield [shown, n, one.labelled, one.needed, judge, value, _points(*bias)]
        row = {"part": part, "metric": name, "n": n, "value": one.people, "low": low, "high": high}
        row |= {column: cell[column] for column in METHOD} | {"judge": one.judge}
        row |= dict(zip(("bias", "bias_low", "bias_high"), bias, strict=True))
        page.rows.append(row | {"labelled": one.labelled, "needed": one.needed})


def _share(value: float) -> str:
    return MISSING if math.isnan(value) else f"{100 * value + 0:.1f} %"


def _rate(value: float, low: float, high: float) -> str:
    return _share(value) if math.isnan(low) else f"{_share(value)} ({100 * low:.1f} to {100 * high:.1f})"


def _points(value: float, low: float = math.nan, high: float = math.nan) -> str:
    if math.isnan(value):
        return MISSING
    ends = "" if math.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value + 0:+.1f}{ends}"


def _number(value: float) -> str:
    return MISSING if math.isnan(value) else f"{value + 0:.2f}"
