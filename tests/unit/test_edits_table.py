"""What an edit re-runs: the table of docs/reliability.md, held by the identities of edited copies of the package."""

import re
import shutil
from pathlib import Path

import pytest

from ballast import identity

ROOT = Path(__file__).parents[2]
TRANSFORMERS = "backends/transformers"
STAGES = {
    "data": ("readers/alpaca",),
    "embed": (),
    "behaviour": ("judges/wildguard", TRANSFORMERS),
    "category": (TRANSFORMERS,),
    "sample": ("samplers/sss",),
    "train": ("trainers/sft",),
    "generate": (TRANSFORMERS,),
    "judge": ("judges/md-judge", TRANSFORMERS),
    "scores": (),
    "table": ("tables/table1",),
    "figure": ("figures/figure3",),
    "claims": (),
    "advice": (),
    "explore": (),
    "pages": (),
}
LOOP = (
    "{0} = [int(category) for category in random_order(map(str, queues), seed)]\n    return round_robin(queues, {0}, n)"
)
SELECT = "def select(pool, features, n, seed, options) -> Selection:\n"
# An edit in the words of the table -> its file below scripts/, then a function that does more, or the old and new text.
EDITS = {
    "a remark": ("ballast/picks/selection.py", "DIGITS = 6", "# Of a score.\nDIGITS = 6"),
    "a docstring": ("ballast/picks/selection.py", '"""Ranked ids, the', '"""Ids by rank, the'),
    "layout": ("ballast/samplers/sss.py", '("category",)', '(\n    "category",\n)'),
    "an annotation of a function": ("ballast/files.py", "def digest(path: str | Path) -> str:", "def digest(path):"),
    "the name of a local variable": ("ballast/samplers/sss.py", LOOP.format("order"), LOOP.format("turns")),
    "a new function that nothing calls": ("ballast/files.py", "def digest(", "def more():\n    pass\n\n\ndef digest("),
    "a new constant that nothing names": ("ballast/results/style.py", "WIDTH =", "NOBODY_NAMES_IT = 1\nWIDTH ="),
    "a new statement at the top of `schemas.py`": ("ballast/schemas.py", "MOST = 100\n", "MOST = 100\nprint()\n"),
    "`write_csv` of `files.py`": ("ballast/files.py", "write_csv"),
    "`write_parquet` of `files.py`": ("ballast/files.py", "write_parquet"),
    "`read_json` of `files.py`": ("ballast/files.py", "read_json"),
    "`SCORES` of `schemas.py`": ("ballast/schemas.py", '"trial": COUNT,', '"trial": COUNT, "again": COUNT,'),
    "`RESPONSES` of `schemas.py`": ("ballast/schemas.py", '"prompt_cut": ', '"again": COUNT, "prompt_cut": '),
    "`PAIRS` of `schemas.py`": ("ballast/schemas.py", '"output": TEXT', '"output": ID'),
    "the sampler": ("ballast/samplers/sss.py", SELECT, f"{SELECT}    print()\n"),
    "another sampler": ("ballast/samplers/pss.py", SELECT, f"{SELECT}    print()\n"),
    "`round_robin`, which samplers share": ("ballast/picks/selection.py", "round_robin"),
    "the trainer": ("ballast/trainers/sft.py", "train"),
    "`VALIDATION_SEED` of `fit.py`": ("ballast/training/fit.py", "VALIDATION_SEED = 42", "VALIDATION_SEED = 43"),
    "the backend": ("ballast/backends/transformers.py", "generate"),
    "the parser of the judge": ("ballast/judges/md_judge.py", "parse"),
    "the words of a category": ("ballast/categories.py", "fraud, embezzlement", "Fraud, embezzlement"),
    "`holm` of `statistics.py`": ("ballast/results/statistics.py", "holm"),
    "how a figure is saved": ("ballast/results/style.py", "save"),
    "the table": ("ballast/tables/table1.py", "table"),
    "`explore.css`, a data file": ("ballast/explore/page/explore.css", "font-size: 11px", "font-size: 12px"),
    "how a log shows progress": ("ballast/progress.py", "clock"),
    "how code is read for identities": ("ballast/syntax.py", "given"),
    "the number of threads": ("ballast/running/threads.py", '"1"', '"2"'),
}


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    shutil.copytree(identity.SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(identity, "HOME", tmp_path / "scripts/ballast")
    monkeypatch.setattr(identity, "SCRIPTS", tmp_path / "scripts")
    return tmp_path / "scripts"


def identities() -> dict[str, str]:
    return {stage: identity.code_identity(stage, *plugins) for stage, plugins in STAGES.items()}


def edit(path: Path, old: str, new: str = "") -> None:
    text = path.read_text()
    if not new:
        pattern = re.compile(rf"^(def {old}\(.*?\)(?: -> [^\n]*)?:\n)", re.MULTILINE | re.DOTALL)
        edited = pattern.sub(r"\1    print()\n", text, count=1)
    else:
        edited = text.replace(old, new, 1)
    assert edited != text, f"{path} no longer holds {old!r}"
    path.write_text(edited)


def written() -> dict[str, set[str]]:
    """Return the rules that the page's table names by edit; `all` and `all but` are every rule of STAGES."""
    page = (ROOT / "docs/reliability.md").read_text().partition("| an edit of code |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", page, re.MULTILINE)
    named = {edit: set(re.findall(r"`(\w+)`", rules)) for edit, rules in rows}
    return {edit: set(STAGES) - named[edit] if rules.startswith("all") else named[edit] for edit, rules in rows}


def test_the_table_of_the_page_has_each_edit():
    assert written().keys() == EDITS.keys() and len(EDITS) >= 25


def test_each_edit_reruns_what_the_page_says(copy):
    before, found = identities(), {}
    for name, (file, *change) in EDITS.items():
        text = (copy / file).read_text()
        edit(copy / file, *change)
        found[name] = {stage for stage, code in identities().items() if code != before[stage]}
        (copy / file).write_text(text)
    assert identities() == before
    rows = {name: ", ".join(f"`{stage}`" for stage in STAGES if stage in stages) for name, stages in found.items()}
    said = "\n".join(f"| {name} | {rules or 'nothing'} |" for name, rules in rows.items())
    assert written() == found, f"the table would be:\n{said}"
