"""With `redact: true` no text of a prompt or response is in any file of a study that people open, or in its log."""

import re
from pathlib import Path

import pandas as pd
import pytest

pytestmark = pytest.mark.faults
WORDS = 4  # that open a text; the made language repeats shorter ones
TEXTS = ("prompt", "response", "instruction", "input", "output")
# What jobs read, and the examples that a person asked for: they are the texts.
DATA = (".parquet", ".safetensors", ".npy", ".arrow", ".jsonl")


def texts(study: Path) -> set[str]:
    """The first words of each text in the study's tables."""
    found = set()
    for path in study.rglob("*.parquet"):
        table = pd.read_parquet(path)
        for column in set(TEXTS) & set(table.columns):
            found.update(" ".join(text.split()[:WORDS]) for text in table[column] if len(str(text).split()) >= WORDS)
    return found


def repeating(folder: Path, pattern: re.Pattern) -> list[str]:
    """The files below a folder that hold a text, apart from data."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix not in DATA]
    return [str(path.relative_to(folder)) for path in files if pattern.search(path.read_text(errors="replace"))]


def test_no_page_table_log_or_metadata_repeats_a_text(finished):
    results = finished.results / finished.name
    known = texts(results)
    assert len(known) > 100, "the study has texts"
    pattern = re.compile("|".join(map(re.escape, sorted(known))))
    assert (results / "explore.html").is_file() and (results / "tables/table3.csv").is_file()
    assert repeating(results, pattern) == []
    assert repeating(finished.folder / ".snakemake", pattern) == [] and not pattern.search(finished.said())


def test_the_search_finds_a_text(tmp_path):
    (tmp_path / "a.log").write_text("job: planted words of a row here\n")
    assert repeating(tmp_path, re.compile(re.escape("planted words of a"))) == ["a.log"]
