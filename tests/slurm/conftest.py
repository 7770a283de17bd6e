"""A real Slurm for the whole session, and a study that runs on it from nothing to its figures."""

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cluster import Cluster, missing
from helpers.edits import checkout, with_world
from helpers.tiny_study import Study

CONFIG = "tests/slurm/study.yaml"
# One file of each rule that is behind the scores: the study has dozens, and each is a job.
NAMES = ("tables/table1.csv", "figures/figure3.svg", "comparison/table1.md", "headline.txt", "claims.md", "advice.txt")
SHOWN = tuple(f"results/on-slurm/{name}" for name in (*NAMES, "trouble.txt", "explore.html"))
# The profile as it is; only waits are shorter than on a cluster of many.
PROGRAM = (sys.executable, "tests/slurm/impatient.py")
PROFILE = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1", "--latency-wait", "5")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(why)
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Study:
    """The study, run on this machine. Tests leave it be."""
    folder = with_world(checkout(tmp_path_factory.mktemp("finished") / "study"))
    Study(folder, "--configfile", CONFIG).succeed(*SHOWN)
    return Study(folder, *PROFILE, "--configfile", CONFIG, name="on-slurm", program=PROGRAM)


@pytest.fixture(scope="session")
def begun(cluster, finished, tmp_path_factory) -> Iterator[tuple[Study, subprocess.Popen]]:
    """The study on Slurm, from nothing but the mini world's models, beside the first tests."""
    study = finished.copy(tmp_path_factory.mktemp("slurm") / "study")
    shutil.rmtree(study.results / study.name)
    job = study.start(*SHOWN)
    yield study, job
    job.kill()


@pytest.fixture(scope="session")
def ran(begun) -> Study:
    """The study on Slurm, at its end."""
    study, job = begun
    assert job.wait(600) == 0, study.said()[-3000:]
    return study
