"""A study that ran once from nothing, for tests that stop, fill, damage and compare copies of it."""

import pytest
from helpers.edits import checkout
from helpers.tiny_study import SECRETS, Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Study:
    """The tiny study, run from nothing by four jobs at a time, with secrets in the environment. Tests leave it be."""
    study = Study(checkout(tmp_path_factory.mktemp("finished") / "study"))
    study.succeed("--cores", "4", **SECRETS)
    assert not list(study.results.rglob(".*")), "temporary files stayed"
    return study


@pytest.fixture
def copy(finished, tmp_path) -> Study:
    return finished.copy(tmp_path / "copy")
