"""The preloaded process: same script, same output, same status, and no orphan."""

import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from helpers.preloaded import ALONE, SCRIPTS, STAGE, starting, wait_until
from helpers.preloaded import preloaded as preloaded_process

from ballast.running import preload


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


def blocked(folder: Path, environment: dict[str, str]) -> subprocess.Popen:
    """A job that reads a file which never ends."""
    os.mkfifo(folder / "never.json")
    arguments = ["--kind", "pool", "--format", "alpaca", "--source", "never.json", "--out", "out.parquet"]
    return subprocess.Popen(
        [*STAGE, "data", *arguments], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True
    )


def others(folder: Path, job: subprocess.Popen) -> list[psutil.Process]:
    """Processes that work in a folder, but for the job's client."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(folder) and process.pid != job.pid:
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_killed_job_takes_its_child_along(tmp_path, preloaded):
    job = blocked(tmp_path, preloaded)
    wait_until(lambda: others(tmp_path, job), 60)
    job.send_signal(signal.SIGKILL)
    job.wait()
    wait_until(lambda: not others(tmp_path, job), 10)


def test_a_rule_whose_program_is_missing_is_told_which_file_to_write(tmp_path):
    done = subprocess.run([*STAGE, "smaple"], cwd=tmp_path, env=ALONE, capture_output=True, text=True)
    line = "smaple: there is no scripts/smaple.py; `stage NAME` in a rule runs scripts/NAME.py\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_killed_child_has_the_status_of_a_killed_process(tmp_path, preloaded):
    job = blocked(tmp_path, preloaded)
    wait_until(lambda: others(tmp_path, job), 60)
    others(tmp_path, job)[0].kill()
    assert job.wait(20) == 137, "as a shell has it, so that the rule's second line tells what killed it"


@pytest.fixture
def light(tmp_path, monkeypatch) -> Path:
    """A copy of the scripts whose preloaded process imports nothing, and a temporary directory of its own."""
    scripts = shutil.copytree(SCRIPTS, tmp_path / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    server = scripts / "ballast/running/preload_server.py"
    server.write_text(server.read_text().replace("        _import_libraries()\n        _import_ballast()\n", ""))
    (scripts / "slow.py").write_text("import time; print('began', flush=True); time.sleep(600)")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setitem(ALONE, "TMPDIR", str(tmp_path / "tmp"))
    return scripts


def test_a_killed_server_starts_again_and_its_job_too_and_no_folder_stays(light, tmp_path):
    temporary, log = tmp_path / "tmp", tmp_path / "log"
    with starting(light, stderr=open(log, "w")) as (environment, parent):
        address = Path(environment["BALLAST_PRELOAD"])
        wait_until(address.exists, 60)
        with open(tmp_path / "said", "w") as said:
            slow = [sys.executable, str(light / "stage.py"), "slow"]
            job = subprocess.Popen(slow, env=environment, stdout=said, stderr=said)
        wait_until(lambda: "began" in (tmp_path / "said").read_text(), 60)
        [server] = psutil.Process(parent.pid).children()
        server.kill()
        wait_until(lambda: (tmp_path / "said").read_text().count("began") == 2, 60)
        assert (
            "slow: the preloaded process ended before this job did; the job starts again\n"
            in (tmp_path / "said").read_text()
        )
        wait_until(lambda: psutil.Process(parent.pid).children(), 10)
        assert not address.parent.exists() and len(list(temporary.glob("ballast-*"))) == 1
        job.kill()
        job.wait()
        assert re.fullmatch(
            r"ballast: the preloaded process was killed \(SIGKILL\).*; it starts again\n", log.read_text()
        )
    wait_until(lambda: not list(temporary.glob("ballast-*")), 10)


def test_a_server_that_is_killed_before_it_reads_a_job_leaves_the_job_to_its_client(tmp_path, monkeypatch, capfd):
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor() as pool:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        monkeypatch.setenv(preload.ADDRESS, str(tmp_path / "socket"))
        job = pool.submit(preload.run, "data", [])
        select.select([listener], [], [], 10)
        time.sleep(0.1)  # it has sent its job by now
        listener.close()
        assert job.result(10) is None
    assert capfd.readouterr().err.endswith("the job starts again\n")


def test_no_job_waits_for_a_server_that_was_killed_while_it_imports(light, tmp_path):
    server = light / "ballast/running/preload_server.py"
    server.write_text(
        server.read_text().replace("        code = written()\n", "        import time; time.sleep(600)\n")
    )
    judge = "import sys; sys.path.insert(0, sys.argv[1]); from ballast.running import preload; "
    judge += "print(preload.run('judge', [], 'options'))"
    with starting(light, stderr=subprocess.PIPE) as (environment, parent):
        job = subprocess.Popen([sys.executable, "-c", judge, light], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            wait_until(lambda: psutil.Process(parent.pid).children(), 10)
            psutil.Process(parent.pid).children()[0].kill()
            said = parent.stderr.readline()
        assert job.communicate(timeout=20)[0] == "None\n", "it runs by itself, at once"
        assert said.endswith("; each job imports for itself, which takes longer\n")
        assert not list((tmp_path / "tmp").glob("ballast-*"))


def test_a_server_and_its_folder_end_with_a_parent_that_is_killed_while_they_start_and_a_later_one_sweeps(
    light, tmp_path
):
    server, temporary = light / "ballast/running/preload_server.py", tmp_path / "tmp"
    server.write_text(
        server.read_text().replace("        code = written()\n", "        import time; time.sleep(600)\n")
    )
    with starting(light) as (_, parent):
        wait_until(lambda: psutil.Process(parent.pid).children(), 10)
        [server] = psutil.Process(parent.pid).children()
        server.suspend()  # killed before it can clean up, as by a power cut
        parent.kill()
        server.kill()
        assert list(temporary.glob("ballast-*"))
    with starting(light) as (environment, parent):
        found = list(temporary.glob("ballast-*"))
        assert found == [Path(environment["BALLAST_PRELOAD"]).parent], "the living one's alone"
        wait_until(
            lambda: (
                "SigCgt:\t0000000000004002"
                in Path(f"/proc/{psutil.Process(parent.pid).children()[0].pid}/status").read_text()
            ),
            20,
        )
    wait_until(lambda: not list(temporary.glob("ballast-*")), 10)
