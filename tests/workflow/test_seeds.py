"""docs/seeds.md: every command plans, and the file that it then prints is one that the plan makes."""

import re
import shlex
from pathlib import Path

import pytest
from helpers import forked

from ballast.claims.declared import CLAIMS
from ballast.study import config

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/seeds.md").read_text()
BLOCKS = re.findall(r"(?m)^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL)
LINES = [line for language, block in BLOCKS if not language for line in block.splitlines()]
PLANNED = [line for line in LINES if line.startswith("snakemake ")]
PRINTED = [shlex.split(line)[-1] for line in LINES if line.startswith(("cat ", "grep "))]
[OVERLAY] = [block for language, block in BLOCKS if language == "yaml"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with the configs, and the page's own config among them."""
    place = tmp_path_factory.mktemp("seeds")
    (place / "config").mkdir()
    for file in (ROOT / "config").iterdir():
        (place / "config" / file.name).symlink_to(file)
    (place / "config/my-classifier.yaml").write_text(OVERLAY)
    return place


def test_the_page_has_a_command_for_each_point():
    assert len(PLANNED) >= 9 and len(PRINTED) >= 9
    assert all(line.startswith(("snakemake ", "cat ", "grep ", "ballast ")) for line in LINES)


@pytest.mark.release
@pytest.mark.parametrize("command", PLANNED)
def test_each_command_plans_jobs(folder, command):
    place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default", "--directory", folder]
    words = shlex.split(command)[1:]
    split = words.index("--") if "--" in words else len(words)
    done = forked.run(folder, *words[:split], "--dry-run", "--quiet", "rules", *place, *words[split:])
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    assert int(re.search(r"(?m)^total +(\d+)$", done.stdout)[1]) > 1


@pytest.mark.parametrize("file", dict.fromkeys(PRINTED))
def test_each_printed_file_is_one_that_a_command_above_it_makes(file):
    above = [line.split() for line in PLANNED if PAGE.index(line) < PAGE.index(f" {file}")]
    target = {"gradients": "gradient_report"}.get(Path(file).stem, Path(file).stem)
    makes = [words for words in above if {file, target} & set(words) or len(words) == 3]  # without a target: everything
    studies = [config.read(ROOT / words[words.index("--configfile") + 1])["study"] for words in makes]
    assert Path(file).parts[1] in studies


def test_the_claims_that_are_printed_are_declared():
    [pattern] = re.findall(r'grep -E "([^"]*)" results/seeds/claims.md', PAGE)
    assert all(any(part in claim.id for claim in CLAIMS) for part in [*pattern.split("|"), "dualselect-"])


def test_the_second_classifier_labels_the_same_rows(folder):
    study = config.load(config.read(folder / "config/my-classifier.yaml"))
    first, second = (study.pools[name] for name in study.experiments.relabelling.pools)
    assert first.world == second.world and study.judges[second.behaviour].endpoint
