"""The picture of the rules in docs/ is the workflow's own."""

import sys

import pytest
from helpers.edits import ROOT

pytestmark = pytest.mark.workflow


def test_the_picture_shows_the_rules_as_they_are(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "scripts"), *sys.path])
    import dag_docs

    assert dag_docs.drawn() == sorted(dag_docs.arrows()), "docs/dag.svg is of another workflow: make dag"
