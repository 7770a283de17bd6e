"""`--sdm apptainer`: jobs run in the image, with its interpreter; without it the directive changes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import forked

ROOT = Path(__file__).parents[2]
TARGET = "results/mini/data/base.parquet"
pytestmark = pytest.mark.workflow

# Stands in for apptainer: writes down how it was called, then runs the command with what is in the "image" first.
APPTAINER = """#!/bin/sh
[ "$1" = --version ] && { echo "apptainer version 1.4.2"; exit 0; }
echo "$@" >> "$SHIMS/called"
echo "${BALLAST_PRELOAD-none}" >> "$SHIMS/preload"
while [ "$1" != envs/ballast.sif ]; do shift; done
shift
PATH="$SHIMS/image:$PATH" exec "$@"
"""
PYTHON = """#!/bin/sh
echo "$@" >> "$SHIMS/python-called"
exec "{python}" "$@"
"""


class Checkout:
    """A working folder beside the repository's Snakefile, with a stand-in for apptainer on the PATH."""

    def __init__(self, folder: Path):
        self.folder, self.shims = folder / "work", folder / "shims"
        (self.folder / "envs").mkdir(parents=True)
        (self.folder / "config").symlink_to(ROOT / "config")
        self.program("bin/apptainer", APPTAINER)
        self.program("image/python", PYTHON.format(python=sys.executable))

    def program(self, name: str, text: str) -> None:
        path = self.shims / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default"]
        env = {name: value for name, value in os.environ.items() if name != "BALLAST_PRELOAD"}
        env |= {"PATH": f"{self.shims}/bin:{env['PATH']}", "SHIMS": str(self.shims)}
        return forked.run(self.folder, *place, TARGET, *arguments, environment=env)

    def called(self, name: str) -> list[str]:
        path = self.shims / name
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path)


def test_jobs_run_in_the_image_with_its_python_and_give_the_same_bytes(checkout, tmp_path):
    (checkout.folder / "envs/ballast.sif").touch()
    done = checkout.snakemake("--sdm", "apptainer", "--apptainer-args=--nv")
    assert done.returncode == 0, done.stderr[-2000:]
    stages = [re.search(r"scripts/stage.py (\S+)", line)[1] for line in checkout.called("python-called")]
    assert sorted(stages) == ["data", "world_data"], "through the image's interpreter, not this one's"
    calls = [line for line in checkout.called("called") if " envs/ballast.sif " in line]
    assert len(calls) == 2 and all(line.startswith("exec --home ") and " --nv " in line for line in calls)
    assert set(checkout.called("preload")) == {"none"}, "a process outside the image would run the job there"
    again = checkout.snakemake("--sdm", "apptainer", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
    bare = Checkout(tmp_path / "bare")
    assert bare.snakemake().returncode == 0
    assert (bare.folder / TARGET).read_bytes() == (checkout.folder / TARGET).read_bytes()


def test_without_it_no_image_is_needed_and_a_change_of_mind_makes_all_again_unless_told_not_to(checkout):
    assert checkout.snakemake().returncode == 0
    assert checkout.called("called") == checkout.called("python-called") == []
    for arguments in ([], ["--sdm", "conda"]):
        again = checkout.snakemake("--dry-run", *arguments)
        assert "Nothing to be done" in again.stdout + again.stderr
    (checkout.folder / "envs/ballast.sif").touch()
    again = checkout.snakemake("--dry-run", "--sdm", "apptainer")
    assert "Software environment definition has changed" in again.stdout + again.stderr
    triggers = ("--rerun-triggers", "code", "input", "mtime", "params")
    told = checkout.snakemake("--dry-run", "--sdm", "apptainer", *triggers)
    assert "Nothing to be done" in told.stdout + told.stderr


def test_an_image_that_is_not_there_is_one_line_before_any_job(checkout):
    done = checkout.snakemake("--sdm", "apptainer")
    line = "ballast: envs/ballast.sif: no image here; docs/containers.md says how it is built"
    assert done.returncode != 0 and line in done.stderr.splitlines() and "Traceback" not in done.stderr
    assert not (checkout.folder / "results").exists()
