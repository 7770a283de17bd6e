"""A real Slurm for the whole session, and a study that runs on it from nothing to its figures."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest
from cluster import Cluster, missing
from edits import checkout
from tiny_study import Study

CONFIG = "tests/slurm/study.yaml"
# The profile as it is; only waits are shorter than on a cluster of many.
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
    folder = checkout(tmp_path_factory.mktemp("finished") / "study")
    Study(folder, "--configfile", CONFIG).succeed()
    return Study(folder, *PROFILE, "--configfile", CONFIG, name="on-slurm")


@pytest.fixture(scope="session")
def begun(cluster, finished, tmp_path_factory) -> Iterator[tuple[Study, subprocess.Popen]]:
    """The study on Slurm, from nothing but the mini world's models, beside the first tests."""
    study = finished.copy(tmp_path_factory.mktemp("slurm") / "study")
    shutil.rmtree(study.results / study.name)
    job = study.start()
    yield study, job
    job.kill()


@pytest.fixture(scope="session")
def ran(begun) -> Study:
    """The study on Slurm, at its end."""
    study, job = begun
    assert job.wait(600) == 0, study.said()[-3000:]
    return study
