"""A study that ran once, for tests that stop, fill, damage and compare copies of it."""

import pytest
from helpers.edits import SECRETS, checkout, with_world
from helpers.tiny_study import Study


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Study:
    """The tiny study, run on the shared world by four jobs at a time, with secrets around. Tests leave it be."""
    study = Study(with_world(checkout(tmp_path_factory.mktemp("finished") / "study")))
    study.succeed("--cores", "4", **SECRETS)
    assert not list(study.results.rglob(".*")), "temporary files stayed"
    return study


@pytest.fixture
def copy(finished, tmp_path) -> Study:
    return finished.copy(tmp_path / "copy")
