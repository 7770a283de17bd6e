"""`snakemake --report`: one file with every document and figure."""

import base64
import json
import re

import pytest
from helpers import edits

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory) -> str:
    file = tmp_path_factory.mktemp("report") / "report.html"
    edits.snakemake(finished, "--configfile", edits.SMALL, "--report", str(file))
    return file.read_text()


def held(report: str, name: str) -> dict:
    """What the report holds: "results" by file, or the files by "categories"."""
    return json.loads(re.search(rf"var {name} = (\{{.*\}});?\n", report)[1])


def test_it_has_every_document_and_figure_under_its_category(report, finished):
    study = finished / "results/small"
    pages = {f"results/small/{path.relative_to(study)}" for path in (study / "pages").rglob("*.html")}
    figures = {f"results/small/figures/{path.name}" for path in (study / "figures").glob("*.svg")}
    assert set(held(report, "results")) == pages | figures and len(pages) > 15 and len(figures) > 6
    categories = ["Start here", "Tables", "Figures", "Claims", "Paper versus ours", "About this study"]
    assert sorted(held(report, "categories")) == sorted(categories)
    assert all(f'"rule": "{rule}"' in report for rule in ("train", "generate", "judge", "table", "figure"))


def test_it_needs_no_other_file(report):
    outside = r"<(?:img|script|link)[^>]+(?:src|href)=\"https?:"
    assert not re.search(outside, report)
    for name, result in held(report, "results").items():
        page = base64.b64decode(result["data_uri"].split("base64,", 1)[1]).decode()
        assert page and not re.search(outside, page), name
