"""A study that ran once, for tests of what an edit re-runs and of what verification finds."""

from pathlib import Path

import pytest
from helpers import edits


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A checkout in which the small study has run. Tests that change anything copy it."""
    folder = edits.with_world(edits.checkout(tmp_path_factory.mktemp("finished") / "study"))
    edits.snakemake(folder, "--configfile", edits.SMALL)
    return folder
