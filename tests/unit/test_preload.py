"""The preloaded process: same script, same output, same status, and no orphan."""

import os
import signal
import subprocess
from pathlib import Path

import pytest
from preloaded import ALONE, STAGE, wait_until
from preloaded import preloaded as preloaded_process


@pytest.fixture(scope="module")
def preloaded():
    with preloaded_process() as environment:
        yield environment


def data_stage(tmp_path, rows, env):
    (tmp_path / "i.json").write_text(rows)
    arguments = ["--kind", "benchmark", "--format", "i-alpaca", "--source", "i.json", "--out", "out.parquet"]
    return subprocess.run([*STAGE, "data", *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)


def test_a_forked_stage_writes_the_same_bytes(tmp_path, preloaded):
    outputs = []
    for env in (ALONE, preloaded):
        done = data_stage(tmp_path, '{"instructions": ["a", "b"]}', env)
        assert done.returncode == 0, done.stderr
        outputs.append((tmp_path / "out.parquet").read_bytes())
    assert outputs[0] == outputs[1]


def test_a_failure_keeps_its_line_and_status(tmp_path, preloaded):
    done = data_stage(tmp_path, '{"instructions": []}', preloaded)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "data: i.json: no rows"
    assert not (tmp_path / "out.parquet").exists()


def test_a_killed_job_takes_its_child_along(tmp_path, preloaded):
    os.mkfifo(tmp_path / "never.json")  # reading it blocks for ever
    arguments = ["--kind", "pool", "--format", "alpaca", "--source", "never.json", "--out", "out.parquet"]
    job = subprocess.Popen([*STAGE, "data", *arguments], cwd=tmp_path, env=preloaded)

    def children():
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if entry.joinpath("cwd").resolve() == tmp_path and int(entry.name) != job.pid:
                    found.append(int(entry.name))
            except (OSError, PermissionError):
                continue
        return found

    wait_until(children, 60)
    job.send_signal(signal.SIGKILL)
    job.wait()
    wait_until(lambda: not children(), 10)
