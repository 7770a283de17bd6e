"""`snakemake --report`: one file with every document and figure."""

import base64
import json
import re

import edits
import pytest

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("report") / "report.html"
    edits.snakemake(finished, "--configfile", edits.SMALL, "--report", str(file))
    return file.read_text()


def shown(report: str) -> dict[str, dict]:
    """What the report holds, by file."""
    return json.loads(re.search(r"var results = (\{.*?\});?\n", report)[1])


def test_it_has_every_document_and_figure_under_its_category(report, finished):
    found = shown(report)
    study = finished / "results/small"
    pages = {f"results/small/{path.relative_to(study)}" for path in (study / "pages").rglob("*.html")}
    figures = {f"results/small/figures/{path.name}" for path in (study / "figures").glob("*.svg")}
    assert set(found) == pages | figures and len(pages) > 15 and len(figures) > 6
    categories = {result["category"] for result in found.values()}
    assert categories == {"Start here", "Tables", "Figures", "Claims", "Paper versus ours", "About this study"}


def test_it_needs_no_other_file(report):
    for name, result in shown(report).items():
        held = base64.b64decode(result["data_uri"].split("base64,", 1)[1])
        assert held, name
        assert not re.search(rb"<(?:img|script|link)[^>]+(?:src|href)=\"http", held), name
    assert not re.search(r"<(?:img|script|link)[^>]+(?:src|href)=\"https?:", report)
