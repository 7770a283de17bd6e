"""The preloaded process: same script, same output, same status, and no orphan."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from helpers.preloaded import ALONE, SCRIPTS, STAGE, wait_until
from helpers.preloaded import preloaded as preloaded_process


def data_stage(tmp_path, rows, env, scripts=SCRIPTS):
    (tmp_path / "i.json").write_text(rows)
    arguments = ["--kind", "benchmark", "--format", "i-alpaca", "--source", "i.json", "--out", "out.parquet"]
    stage = [sys.executable, str(scripts / "stage.py"), "data"]
    return subprocess.run([*stage, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)


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


def test_code_that_was_edited_since_is_not_run_from_memory(tmp_path):
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    module = scripts / "ballast/readers/i_alpaca.py"
    with preloaded_process(scripts) as environment:
        for remark in ("", "print('edited')\n"):
            module.write_text(module.read_text() + remark)
            done = data_stage(tmp_path, '{"instructions": ["a"]}', environment, scripts)
            assert (done.returncode, done.stdout) == (0, "edited\n" if remark else ""), done.stderr


def test_a_log_can_be_watched(tmp_path):
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "slow.py").write_text("import time; print('began'); time.sleep(600)")
    log = tmp_path / "log"
    with open(log, "w") as said:
        buffered = ALONE | {"PYTHONUNBUFFERED": ""}
        job = subprocess.Popen([sys.executable, str(scripts / "stage.py"), "slow"], env=buffered, stdout=said)
    try:
        wait_until(lambda: log.read_text() == "began\n", 60)
    finally:
        job.kill()
        job.wait()


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


def test_a_rule_whose_program_is_missing_is_told_which_file_to_write(tmp_path):
    done = subprocess.run([*STAGE, "smaple"], cwd=tmp_path, env=ALONE, capture_output=True, text=True)
    line = "smaple: there is no scripts/smaple.py; `stage NAME` in a rule runs scripts/NAME.py\n"
    assert (done.returncode, done.stderr) == (1, line)
