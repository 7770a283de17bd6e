"""What `make init` installs is enough to pick: no torch, and the same rows as in a study's environment."""

import os
import subprocess

import pandas as pd
import pytest
from helpers import smaller
from test_own_data import ROOT, Own, own  # noqa: F401  a fixture

pytestmark = [pytest.mark.workflow, pytest.mark.release]
SAMPLING = {"sampling": {"samplers": ["random", "sss-b", "pss-b", "cossim-b", "cossim"], "trials": 1}}


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    return smaller.environment(tmp_path_factory.mktemp("picking") / "env", "pick.lock")


def run(python, own: Own, target: str) -> subprocess.CompletedProcess:  # noqa: F811
    own.settings(experiments=SAMPLING)
    place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default"]
    command = [python, "-m", "snakemake", target, *place, "--configfile", "config/here.yaml", "--quiet", "all"]
    without = {name: value for name, value in os.environ.items() if name not in ("BALLAST_PRELOAD", "PYTHONPATH")}
    return subprocess.run(command, cwd=own.folder, env=without, capture_output=True, text=True)


def picks(folder) -> dict[str, list]:
    found = sorted(folder.glob("results/mine/subsets/own/*/n*/t*/ids.csv"))
    return {path.relative_to(folder).as_posix(): pd.read_csv(path).values.tolist() for path in found}


def test_own_rows_are_picked_without_torch_and_are_those_of_a_study(python, own):  # noqa: F811
    absent = subprocess.run([python, "-c", "import torch"], capture_output=True, text=True)
    assert "No module named 'torch'" in absent.stderr
    done = run(python, own, "subsets")
    assert done.returncode == 0 and "Traceback" not in done.stderr, (done.stdout + done.stderr)[-3000:]
    assert "numpy runs MiniLM" in (own.folder / "results/mine/logs/embed/pools/own.log").read_text()
    small = picks(own.folder)
    (own.folder / "results").rename(own.folder / "small")
    done = own.run("subsets", experiments=SAMPLING)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    assert "numpy" not in (own.folder / "results/mine/logs/embed/pools/own.log").read_text()
    assert len(small) == 5 and small == picks(own.folder)


def test_a_study_there_is_refused_before_any_job(python, own):  # noqa: F811
    done = run(python, own, "doctor")
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "ballast: doctor: torch is not installed in this environment" in done.stderr
    assert "pip install --requirement envs/run.lock" in done.stderr
