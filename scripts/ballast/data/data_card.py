"""Write a subset's card: contents, origin, rule, shortfalls, and how to load it."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ballast.categories import number, title
from ballast.data import forms
from ballast.data.export import Exported, for_trl
from ballast.markup import pipe_table
from ballast.names import BEHAVIOURS, UNKNOWN

WORDS = {
    "T1": "harmful request, refused",
    "T2": "harmful request, harmless answer",
    "T3": "safe request, refused",
    "T4": "safe request, answered",
    UNKNOWN: "the labeller could not tell",
}


@dataclass(frozen=True)
class DataCard:
    """The card's text apart from counts. `about`: rows of (name, text); `notes`: sentences, such as on stand-ins."""

    name: str
    pool: str
    rule: str
    licence: str
    about: Sequence[tuple[str, str]]
    notes: Sequence[str]
    form: forms.Form
    record: dict


def text(card: DataCard, rows: pd.DataFrame, pool: pd.DataFrame) -> str:
    """Return the Markdown page. `rows` (the subset) and `pool` have behaviour and category, missing if unlabelled."""
    parts = [
        _header(card.licence),
        f"# {len(rows)} examples of the pool {card.pool}, by {card.name}\n",
        f"{card.rule}\n",
        pipe_table(["", ""], card.about) + "\n",
    ]
    if pool["behaviour"].notna().any():
        parts += ["## Behaviours\n", _behaviours(rows, pool)]
    if pool["category"].notna().any():
        parts += ["## Harm categories\n", _categories(rows, pool), _shortfall(rows)]
    parts += ["## Loading\n", _loading(card.form, card.record)]
    parts.append("`ids.csv`: rank, id, number in the pool's file (from 0), labels. `pool.png`: where the rows lie.\n")
    parts += ["## To know\n", "".join(f"- {note}\n" for note in card.notes)] if card.notes else []
    return "\n".join(parts)


def remarks(found: Exported) -> list[str]:
    """Return sentences on rows of the subset that other tools may read otherwise."""
    said = [f"{found.remarks[name]} rows {words}." for name, words in forms.REMARKS.items() if found.remarks[name]]
    if found.rewritten:
        said.append(f"{found.rewritten} chats had other keys or speakers; here they have role and content.")
    return said


def _header(licence: str) -> str:
    """Return the header that names the data file to the hub's dataset viewer and load_dataset."""
    lines = ["---", "license: other", f"license_name: {licence!r}", "configs:", "- config_name: default"]
    return "\n".join([*lines, "  data_files: subset.jsonl", "---", ""])


def _behaviours(rows: pd.DataFrame, pool: pd.DataFrame) -> str:
    lines = []
    for kind in (*BEHAVIOURS, UNKNOWN):
        here, there = ((table["behaviour"] == kind).sum() for table in (rows, pool))
        if there:
            lines.append([kind, WORDS[kind], here, f"{there:,}"])
    return pipe_table(["behaviour", "", "subset", "pool"], lines) + "\n"


def _categories(rows: pd.DataFrame, pool: pd.DataFrame) -> str:
    lines = []
    for category in range(number()):
        here, there = ((table["category"] == category).sum() for table in (rows, pool))
        lines.append([category, title(category), here, f"{there:,}"])
    here, there = (table["category"].isna().sum() for table in (rows, pool))
    if there:
        lines.append(["-", "none", here, f"{there:,}"])
    return pipe_table(["id", "category", "subset", "pool"], lines) + "\n"


def _shortfall(rows: pd.DataFrame) -> str:
    """Return how far a sampler with equal numbers per category fell short; empty for one without a quota."""
    if rows["quota"].isna().any():
        return ""
    share = len(rows) // number()
    counts = rows["quota"].value_counts().reindex(range(number()), fill_value=0)
    short = {category: share - count for category, count in counts.items() if count < share}
    if not short:
        return f"Every category has its even share of {share} rows.\n"
    said = ", ".join(f"{category} by {lacking}" for category, lacking in short.items())
    return f"Short of the even share of {share} rows, which others filled: category {said}.\n"


def _loading(form: forms.Form, record: dict) -> str:
    shaped = for_trl(form, record)
    mapped = f"rows = rows{shaped}  # for TRL\n" if shaped else ""
    columns = ", ".join(f"{part} in `{column}`" for part, column in form.columns.items())
    return (
        f"`subset.jsonl` has the pool's own form ({form.name}: {columns}).\n\n"
        "```python\nfrom datasets import load_dataset\nfrom trl import SFTTrainer\n\n"
        'rows = load_dataset("json", data_files="subset.jsonl", split="train")\n'
        f"{mapped}trainer = SFTTrainer(model, train_dataset=rows)\n```\n\n"
        "LLaMA-Factory: `dataset_dir` is this folder, and `dataset` the name in `dataset_info.json`.\n"
    )
