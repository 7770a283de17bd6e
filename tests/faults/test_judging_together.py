"""Judgements that travel as one job of a cluster: the executor's own way on a node, but without a cluster."""

import os
from pathlib import Path

import psutil
import pytest
from helpers.preloaded import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.release]
# It runs what the cluster's own would run, on this machine.
SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
"""
ON_A_NODE = ("--mode", "remote", "--executor", "slurm-jobstep", "--jobs", "1", "--allowed-rules", "judge", "--force")
ON_A_NODE += ("--force-use-threads", "--nolock", "--no-hooks", "--ignore-incomplete")
ON_A_NODE += ("--target-files-omit-workdir-adjustment",)
SHARED = ("persistence", "input-output", "software-deployment", "sources", "source-cache", "storage-local-copies")


@pytest.fixture
def path(tmp_path) -> str:
    srun = tmp_path / "bin/srun"
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    return f"{srun.parent}:{os.environ['PATH']}"


def judge(study, path: str, *samplers: str) -> list[str]:
    """What the logs of these runs' judgements say after one job of a cluster."""
    runs = [f"llama/safety/{sampler}/n14/t0" for sampler in samplers]
    jobs = [f"judge:run={run},benchmark=xstest,judge=wildguard" for run in runs]
    study.succeed("--target-jobs", *jobs, *ON_A_NODE, "--shared-fs-usage", *SHARED, PATH=path)
    return [(study.results / f"tiny/logs/judge/{run}/xstest.wildguard.log").read_text() for run in runs]


def left_behind(folder: Path) -> list[psutil.Process]:
    program = str(folder / "scripts/ballast/running/preload.py")
    return [found for found in psutil.process_iter(["cmdline"]) if program in (found.info["cmdline"] or [])]


def test_they_load_their_judge_once_and_leave_no_process(finished, copy, path):
    copy.without("store", "runs/*/safety/*/*/*/scores/xstest.wildguard.parquet")
    logs = judge(copy, path, "random", "sss")
    assert sum("loaded, and kept for the next job" in log for log in logs) == 1
    assert sum("kept from the job before" in log for log in logs) == 1
    wait_until(lambda: not left_behind(copy.folder), 10)
    for sampler in ("random", "sss"):
        scores = f"tiny/runs/llama/safety/{sampler}/n14/t0/scores/xstest.wildguard.parquet"
        assert (copy.results / scores).read_bytes() == (finished.results / scores).read_bytes()


def test_one_alone_waits_for_no_other_process(copy, path):
    copy.without("store")
    [log] = judge(copy, path, "sss")
    assert "12 responses to xstest by wildguard" in log and "kept for the next job" not in log
