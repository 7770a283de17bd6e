"""A real Slurm for the whole session, and a study that ran on it once. Tests change copies of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

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
def finished(cluster, tmp_path_factory) -> Study:
    folder = checkout(tmp_path_factory.mktemp("finished") / "study")
    # The mini world is no part of a study on a cluster, and is made faster without one.
    Study(folder, "--configfile", CONFIG).succeed("--until", "world_model", "world_judge")
    study = Study(folder, *PROFILE, "--configfile", CONFIG)
    study.succeed()
    return study


@pytest.fixture
def copy(finished, tmp_path) -> Study:
    return finished.copy(tmp_path / "copy")
