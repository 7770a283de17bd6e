"""Measure how far labels agree, by Cohen's kappa: language model, Cossim, people and the behaviour judge.

A labeller's answers to a question are a series by row id, missing if it gave none. Two series are compared over the
rows that both answered. Kappa is missing if both give one and the same answer throughout, since chance explains all
agreement then. A row's category is the first that a labeller names; `overlap` also counts the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from sklearn.metrics import cohen_kappa_score

from ballast.asking.judging import PARSED
from ballast.categories import number, title
from ballast.labels.annotation import NONE, YES_NO
from ballast.labels.behaviour import TYPES, UNKNOWN, behaviour
from ballast.markup import MISSING, markdown, pipe_table

ALL = "all"
HARMFUL = "harmful response"  # the reason for a row without a type, and an answer like the four types
BEHAVIOUR_ANSWERS = (*TYPES.values(), HARMFUL)
NAMED = "category where both name one"
CONFUSIONS = 5
COLUMNS = (
    *("first", "second", "question", "label", "other", "n"),
    *("kappa", "agreement", "overlap", "first_rows", "second_rows", "both_rows"),
)


@dataclass(frozen=True)
class Labeller:
    """A labeller: its answers by question, counts by kind of answer, and category sets if it has them."""

    name: str
    answers: dict[str, pd.Series]
    counts: dict[str, dict[str, int]]
    sets: pd.Series | None = None


def by_categories(name: str, table: pd.DataFrame) -> Labeller:
    """Return a labeller of categories; `table` is the category stage's (id, categories, status)."""
    table = table.set_index("id")
    sets = table["categories"].map(tuple).where(table["status"] == PARSED)
    return Labeller(name, {"category": _first(sets)}, {"category": _counts(sets, table["status"])}, sets)


def by_judge(name: str, table: pd.DataFrame) -> Labeller:
    """Return the behaviour judge; `table` is the behaviour stage's. Answers that a type does not imply are missing."""
    table = table.set_index("id")
    kinds = _kinds(table)
    asked = {kind: request for (request, _), kind in TYPES.items()}
    refused = {kind: refusal for (_, refusal), kind in TYPES.items()} | {HARMFUL: False}
    harm = {kind: False for (_, refusal), kind in TYPES.items() if not refusal} | {HARMFUL: True}
    said = dict(zip(YES_NO, (asked, refused, harm), strict=True))
    answers = {question: _yes_no(kinds.map(known)) for question, known in said.items()} | {"behaviour": kinds}
    return Labeller(name, answers, {question: _counts(series) for question, series in answers.items()})


def by_people(name: str, sheet: pd.DataFrame) -> Labeller:
    """Return people as a labeller; `sheet` is the result of `annotation.read_sheet`."""
    sets = sheet["categories"]
    answers = {question: _yes_no(sheet[question]) for question in YES_NO}
    answers["behaviour"] = _kinds(behaviour(sheet[list(YES_NO)]))
    counts = {question: _counts(series) for question, series in answers.items()}
    return Labeller(name, answers | {"category": _first(sets)}, counts | {"category": _counts(sets)}, sets)


def compare(first: Labeller, second: Labeller) -> list[dict]:
    """Return rows of the report, for each question that both answer: one over all answers, one per answer against the
    rest (not for yes/no), and the most frequent disagreements."""
    rows = []
    for question in (question for question in first.answers if question in second.answers):
        pair = pd.DataFrame({"first": first.answers[question], "second": second.answers[question]}).dropna()
        about = {"first": first.name, "second": second.name, "question": question}
        if question == "category":
            overlap = _overlap(first.sets[pair.index], second.sets[pair.index])
            rows.append(about | _measured(pair, overlap=overlap))
            named = pair[(pair != NONE).all(axis=1)]
            overlap = _overlap(first.sets[named.index], second.sets[named.index])
            rows.append(about | {"question": NAMED} | _measured(named, overlap=overlap))
        else:
            rows.append(about | _measured(pair))
        for answer in {"category": (*map(str, range(number())), NONE), "behaviour": BEHAVIOUR_ANSWERS}.get(
            question, ()
        ):
            rows.append(about | _measured(pair, answer))
        rows.extend(about | confused for confused in confusions(pair))
    return rows


def kappa(first: Sequence, second: Sequence, counts: Sequence[int] | None = None) -> float:
    """Return Cohen's kappa; NaN without rows, or if both give one and the same answer throughout.

    `counts`: how often each pair of answers was given; once by default.
    """
    if len({*first, *second}) < 2:
        return float("nan")
    return float(cohen_kappa_score(list(first), list(second), sample_weight=counts))


def confusions(pair: pd.DataFrame) -> list[dict]:
    """Return the most frequent pairs of unlike answers, ties by the answers."""
    unlike = pair[pair["first"] != pair["second"]].groupby(["first", "second"]).size()
    most = sorted(unlike.items(), key=lambda item: (-item[1], item[0]))[:CONFUSIONS]
    return [
        {"label": first, "other": second, "n": len(pair), "both_rows": int(count)} for (first, second), count in most
    ]


def counted(labeller: Labeller) -> list[dict]:
    """Return the number of rows per question and kind of answer of a labeller."""
    return [
        {"first": labeller.name, "question": question, "label": kind, "n": sum(kinds.values()), "first_rows": count}
        for question, kinds in labeller.counts.items()
        for kind, count in kinds.items()
    ]


def report(labellers: Sequence[Labeller]) -> pd.DataFrame:
    """Return every labeller against each later one, then the counts; a row without `second` is a count."""
    pairs = [(first, second) for place, first in enumerate(labellers) for second in labellers[place + 1 :]]
    rows = [row for pair in pairs for row in compare(*pair)] + [row for each in labellers for row in counted(each)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype(dict.fromkeys(("n", "first_rows", "second_rows", "both_rows"), "Int64"))


def to_markdown(table: pd.DataFrame, heading: str, notes: Sequence[str]) -> str:
    """Return the report in Markdown: one section per pair of labellers, then the counts."""
    parts = [f"# {heading}", "\n".join(f"- {note}" for note in notes)]
    compared = table[table["second"].notna()]
    for (first, second), rows in compared.groupby(["first", "second"], sort=False):
        measured = rows[rows["label"] == rows["other"]]
        grid = [
            [*(_question(row), _answer(row.question, row.label)), row.n, *map(_number, (row.kappa, row.agreement))]
            + [_number(row.overlap), _count(row.first_rows), _count(row.second_rows), _count(row.both_rows)]
            for row in measured.itertuples()
        ]
        header = ["Question", "Answer", "n", "Kappa", "Agreement", "Overlap", first, second, "Both"]
        parts += [f"## {markdown(first)} and {markdown(second)}", pipe_table(header, grid)]
        unlike = rows[rows["label"] != rows["other"]]
        if not unlike.empty:
            grid = [
                [_question(row), _answer(row.question, row.label), _answer(row.question, row.other), row.both_rows]
                for row in unlike.itertuples()
            ]
            parts += ["Most frequent disagreements:", pipe_table(["Question", first, second, "Rows"], grid)]
    counts = table[table["second"].isna()]
    grid = [[row.first, _question(row), row.label, row.first_rows] for row in counts.itertuples()]
    parts += ["## Counts", pipe_table(["Labeller", "Question", "Answers", "Rows"], grid)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _measured(pair: pd.DataFrame, answer: str = ALL, overlap: float | None = None) -> dict:
    """Return one row over all answers, or one for an answer against the rest."""
    counts = {}
    if answer != ALL:
        pair = pair == answer
        both = int(pair.all(axis=1).sum())
        counts = {"first_rows": int(pair["first"].sum()), "second_rows": int(pair["second"].sum()), "both_rows": both}
    agreement = float((pair["first"] == pair["second"]).mean()) if len(pair) else None
    value = kappa(pair["first"].tolist(), pair["second"].tolist())
    measures = {"n": len(pair), "kappa": value, "agreement": agreement, "overlap": overlap}
    return {"label": answer, "other": answer} | measures | counts


def _first(sets: pd.Series) -> pd.Series:
    """Return a row's first category as text, NONE for an empty set, missing without an answer."""
    return sets.map(lambda ids: str(ids[0]) if ids else NONE, na_action="ignore")


def _overlap(first: pd.Series, second: pd.Series) -> float | None:
    """Return the share of rows for which both name a common category, or both name none."""
    shared = [bool({*one} & {*two}) or not (one or two) for one, two in zip(first, second, strict=True)]
    return sum(shared) / len(shared) if shared else None


def _kinds(table: pd.DataFrame) -> pd.Series:
    """Return T1-T4 or HARMFUL by row; missing if the row is unknown for another reason."""
    kinds = table["behaviour"].where(table["behaviour"] != UNKNOWN)
    return kinds.mask(table["reason"] == HARMFUL, HARMFUL)


def _yes_no(series: pd.Series) -> pd.Series:
    return series.astype(object).map({True: "yes", False: "no"})


def _counts(answers: pd.Series, status: pd.Series | None = None) -> dict[str, int]:
    """Count rows with an answer, with NONE as their answer, and without one, by status if `status` gives it."""
    none = int(sum(isinstance(answer, tuple) and not answer for answer in answers))
    why = {"not said": int(answers.isna().sum())} if status is None else status[status != PARSED].value_counts()
    counts = {"answered": int(answers.notna().sum()) - none, NONE: none} | dict(why)
    return {kind: int(count) for kind, count in counts.items() if count or kind == "answered"}


def _question(row) -> str:
    return row.question.replace("_", " ")


def _answer(question: str, label: str) -> str:
    return f"{label} {title(int(label))}" if question == "category" and label.isdigit() else label


def _number(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.3f}"


def _count(value) -> str:
    return "" if pd.isna(value) else str(value)
