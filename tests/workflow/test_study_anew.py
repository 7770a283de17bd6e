"""After `make clean-study` a study is made anew, with what studies share as it was."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.edits import SNAKEMAKE

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
PLAIN = {name: value for name, value in os.environ.items() if name not in ("STUDY", "YES", "MAKEFLAGS", "MAKELEVEL")}


def test_after_it_everything_of_the_study_is_pending_again(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    target = "results/mini/data/base.parquet"
    (tmp_path / "config").symlink_to(ROOT / "config")

    def snakemake(*arguments: str) -> str:
        command = [str(SNAKEMAKE), "--snakefile", str(ROOT / "Snakefile")]
        command += ["--workflow-profile", str(ROOT / "profiles/default"), target, *arguments]
        environment = PLAIN | {"BALLAST_PRELOAD": ""}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout + done.stderr

    snakemake()
    before = (tmp_path / target).read_bytes()
    assert "Nothing to be done" in snakemake("--dry-run")
    subprocess.run(["make", "clean-study", "YES=1"], cwd=tmp_path, env=PLAIN, check=True)
    assert not (tmp_path / target).exists()
    pending = re.findall(r"^(\w+) +\d+$", snakemake("--dry-run", "--quiet", "rules"), re.MULTILINE)
    assert "data" in pending and "world_data" not in pending, "and what it shares is not"
    snakemake()
    assert (tmp_path / target).read_bytes() == before and "Nothing to be done" in snakemake("--dry-run")
