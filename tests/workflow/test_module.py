"""Ballast as a `module` of another workflow: one that changes a rule, adds one, and has its own shell prefix."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from helpers import edits, forked
from helpers.edits import ROOT, SMALL

from ballast.files import read_json

pytestmark = pytest.mark.workflow
OUTER = """
configfile: "mine.yaml"
shell.prefix("SAID='my own prefix'; ")

module ballast:
    snakefile: {place}
    config: config["ballast"]
    {prefix}

use rule * from ballast as ballast_*

use rule sample from ballast as ballast_sample with:
    message: "Pick {{wildcards.n}} on my own terms"

rule count:
    default_target: True
    input: "{subset}"
    output: "counted.txt"
    shell: "echo $SAID, $(wc -l < {{input}}) lines > {{output}}"

onstart: ballast.onstart()
onerror: ballast.onerror()
onsuccess: ballast.onsuccess()
"""
SUBSET = "results/small/subsets/safety/random/n7/t0.csv"
SHEET = "safety/results/small/annotation/pool.csv"
USUAL = {"place": f'"{ROOT}/workflow/Snakefile"', "prefix": 'prefix: "safety"', "subset": f"safety/{SUBSET}"}
SMALLER = {"study": "small", "world": {"name": "small", "options": {"pool_rows": 600}}, "as_is": []}
OWN = {"extends": str(ROOT / SMALL)}


@pytest.fixture
def outer(tmp_path):
    """Return a function that writes the outer workflow and runs it."""

    def run(*arguments, own=OWN, more=(), **written):
        folder = tmp_path / "my study"
        folder.mkdir(exist_ok=True)
        (folder / "Snakefile").write_text(OUTER.format(**USUAL | written))
        (folder / "mine.yaml").write_text(yaml.safe_dump({"ballast": own}))
        return folder, forked.run(folder, *arguments, "--cores", "2", environment={**os.environ, **dict(more)})

    return run


@pytest.fixture
def hosted(tmp_path) -> dict[str, str]:
    """Return an environment in which git takes somebody/ballast of GitHub from a repository on this machine."""
    repository = edits.checkout(tmp_path / "hosted/somebody/ballast")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", repository]
    subprocess.run([*git, "init", "-q"], check=True)
    for tag in ("v1", "v2"):
        for command in (["add", "."], ["commit", "-qm", tag], ["tag", tag]):
            subprocess.run([*git, *command], check=True)
        (repository / "scripts/sample.py").open("a").write("assert True\n")
    return {
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }


# What snakedeploy 0.17 writes into workflow/Snakefile.
DEPLOYED = """
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/somebody/ballast as a module
module ballast:
    snakefile:
        github("somebody/ballast", path="workflow/Snakefile", tag="v1")
    config:
        config


# use all rules from https://github.com/somebody/ballast
use rule * from ballast
"""


def commands(done) -> list[str]:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return sorted(re.findall(r"^Shell command: (.*)$", done.stdout + done.stderr, re.MULTILINE))


def test_its_jobs_are_those_of_a_direct_run(outer, tmp_path):
    folder, done = outer("ballast_all", "--dry-run", "--printshellcmds")
    (tmp_path / "direct").mkdir()
    place = ["--snakefile", ROOT / "Snakefile", "--configfile", ROOT / SMALL, "--cores", "2"]
    direct = forked.run(tmp_path / "direct", "--dry-run", "--printshellcmds", *place)
    found = commands(done)
    assert [one.replace("safety/results/", "results/") for one in found] == commands(direct) and len(found) > 50
    absolute = re.compile(rf"(?<![\w./]){re.escape(str(ROOT))}|(?<!safety/)\bresults/")
    assert not [one for one in found if absolute.search(one)], "each path is relative, and results lie in the prefix"


def test_another_workflow_changes_a_rule_and_adds_one(outer):
    folder, done = outer()
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "Pick 7 on my own terms" in said
    assert (folder / "counted.txt").read_text() == "my own prefix, 8 lines\n"
    assert {path.name for path in folder.iterdir()} == {".snakemake", "Snakefile", "mine.yaml", "counted.txt", "safety"}
    row = read_json(folder / "safety/results/small/manifest/subsets/safety/random/n7/t0.csv.json")
    assert (row["artefact"], row["rule"]) == (f"safety/{SUBSET}", "sample")
    again = outer("--dry-run")[1]
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"prefix": 'replace_prefix: {"results/": "safety/"}'},
            "ballast: module: safety: give a `prefix` without a folder results, and no `replace_prefix`",
        ),
        ({"own": {"extends": "absent.yaml"}}, "ballast: config of the module: extends: absent.yaml: no such file"),
        (
            {"own": OWN | {"labels": {"annotations": SHEET}}},
            f"ballast: config: labels.annotations: {SHEET} is the empty sheet; give the path of a filled copy",
        ),
        ({"own": {"sampelrs": 1}}, "ballast: config: 'sampelrs' is not a key; did you mean 'sampling'?"),
    ],
)
def test_a_module_that_cannot_work_stops_in_one_line(outer, tmp_path, given, line):
    sheet = tmp_path / "my study" / SHEET
    sheet.parent.mkdir(parents=True)
    sheet.touch()
    done = outer("--dry-run", **given)[1]
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert any(text.startswith(line) for text in done.stderr.splitlines()), done.stderr


def test_two_modules_are_two_studies_of_one_ballast(outer, tmp_path):
    second = """
module second:
    snakefile: {place}
    config: {{"study": "mine", "extends": "mini.yaml"}}

use rule * from second as second_*
"""
    folder, _ = outer("--version")
    written = (folder / "Snakefile").read_text()
    other = edits.checkout(tmp_path / "other") / "workflow/Snakefile"
    target = "results/mine/subsets/safety/random/n14/t0.csv"
    for place, said in (
        (ROOT / "workflow/Snakefile", "second_sample"),
        (other, f"this workflow has Ballast of {ROOT}/scripts already; use one version of it"),
    ):
        (folder / "Snakefile").write_text(written + second.format(place=repr(str(place))))
        done = forked.run(folder, "--dry-run", "--cores", "2", "--", target)
        assert said in done.stdout + done.stderr and "Traceback" not in done.stderr
        assert (done.returncode == 0) == (said == "second_sample")


def test_a_module_without_config_is_the_mini_study(outer):
    target = SUBSET.replace("small", "mini").replace("n7", "n14")
    folder, done = outer("--dry-run", "--printshellcmds", prefix="", subset=target, own={})
    assert [one.split()[1] for one in commands(done)] == ["$SAID,", "data", "sample", "world_data"]


def test_a_module_of_a_repository_runs_the_files_of_its_tag(outer, hosted):
    def tagged(tag, *arguments):
        place = f'github("somebody/ballast", path="workflow/Snakefile", tag="{tag}")'
        folder, done = outer(*arguments, place=place, more=hosted, own={"extends": "mini.yaml"} | SMALLER)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return folder, done.stdout

    folder, _ = tagged("v1")
    assert (folder / "counted.txt").read_text() == "my own prefix, 8 lines\n"
    found = re.findall(r"^(\w+) +1$", tagged("v2", "--dry-run", "--quiet", "rules")[1], re.MULTILINE)
    assert set(found) == {"ballast_sample", "count"}, "the only stage that changed"


def test_a_deployment_by_snakedeploy_is_the_study_of_its_config(tmp_path, hosted):
    for name in ("config", "profiles"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow/Snakefile").write_text(DEPLOYED)
    (tmp_path / "config/config.yaml").write_text("extends: mini.yaml\nstudy: mine\n")
    done = forked.run(tmp_path, "subsets", "--dry-run", "--quiet", "rules", environment={**os.environ, **hosted})
    assert done.returncode == 0 and re.search(r"^sample +162$", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_the_catalogs_test_is_the_tiny_study(tmp_path):
    shutil.copytree(ROOT / ".test", tmp_path / ".test")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    place = ["--snakefile", ROOT / "Snakefile", "--directory", tmp_path / ".test", "--cores", "2"]
    done = forked.run(tmp_path, "--dry-run", *place)
    assert done.returncode == 0 and "results/tiny/scores.parquet" in done.stdout, done.stderr
