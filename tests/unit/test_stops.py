"""A study whose terminal closes, or that is told twice to stop: one line, and nothing of it stays."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import snakemake.api  # noqa: F401  its parts import each other in this order only
from helpers.preloaded import ALONE, wait_until

from ballast.running import endings
from ballast.running.inside_snakemake import InsideSnakemake

# A shell without job control has what it starts in the background ignore Ctrl-C, and what that starts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)
ROOT = Path(__file__).parents[2]
SNAKEFILE = """
from ballast.running.inside_snakemake import InsideSnakemake
from ballast.running import stops
inside = InsideSnakemake(workflow)
stops.handle()
rule all:
    input: "one", "two"
rule slow:
    output: "{name}"
    shell: "trap : TERM HUP; echo $$ > began-{wildcards.name}; sleep 600; sleep 0; exit 1"
onstart:
    inside.start({})
"""


@pytest.mark.parametrize(
    ("signals", "line"),
    [
        ([signal.SIGHUP], "ballast: the terminal closed (SIGHUP): running jobs save and stop; run again to continue"),
        ([signal.SIGINT] * 2, "ballast: Ctrl-C again: running jobs are killed; run again to continue"),
    ],
    ids=["closed", "twice"],
)
def test_all_processes_end_with_one_line_and_no_lock(tmp_path, signals, line):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [sys.executable, "-m", "snakemake", "--cores", "2"]
    env = ALONE | {"PYTHONPATH": str(ROOT / "scripts")}
    with open(tmp_path / "said", "w") as said:
        study = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=said, stderr=said, start_new_session=True)
    wait_until(lambda: len(list(tmp_path.glob("began-*"))) == 2, 60)
    wait_until(lambda: len(psutil.Process(study.pid).children(recursive=True)) == 4, 20)
    processes = psutil.Process(study.pid).children(recursive=True)
    for number in signals:
        study.send_signal(number)
        wait_until(lambda: "Terminating processes" in (tmp_path / "said").read_text(), 20)
    assert study.wait(20) == 1
    said = (tmp_path / "said").read_text()
    assert [found for found in said.splitlines() if found.startswith("ballast:")] == [line]
    assert "Traceback" not in said and not list(tmp_path.glob(".snakemake/locks/*"))
    wait_until(lambda: not any(map(psutil.Process.is_running, processes)), 5)


def told(*command: str) -> subprocess.CompletedProcess:
    """A process that handles signals as Snakemake's does while it plans, and gets SIGINT or SIGHUP."""
    env = ALONE | {"PYTHONPATH": str(ROOT / "scripts")}
    return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_a_terminal_that_closes_under_nohup_stops_nothing():
    code = "import signal; from ballast.running import stops; stops.handle(); signal.raise_signal(signal.SIGHUP)"
    assert told("nohup", sys.executable, "-c", code).returncode == 0


def test_ctrl_c_while_it_plans_is_one_line():
    code = "import signal; from ballast.running import stops; stops.handle(); signal.raise_signal(signal.SIGINT)"
    done = told(sys.executable, "-c", code)
    assert (done.returncode, done.stderr) == (130, "ballast: stopped before the first job\n")


def test_no_signal_is_lost_that_another_thread_gets():
    """So it is, on a busy machine, for one that comes as the main thread falls asleep."""
    code = "import os, signal, threading; from ballast.running import stops; stops.handle();"
    code += "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT]);"
    code += "threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start(); threading.Semaphore(0).acquire()"
    assert told("timeout", "-s", "KILL", "20", sys.executable, "-c", code).returncode == 130


KILLED = {
    None: "killed (SIGKILL), most often by the kernel when memory runs out; run fewer jobs",
    0: "killed (SIGKILL): memory ran out (out-of-memory kills on this machine since the study began: ",
    "now": "killed (SIGKILL) by a person, a queue or a container, not by the kernel for memory; run again to continue",
}


@pytest.mark.parametrize("before", KILLED, ids=["unknown", "memory", "a-person"])
def test_a_job_that_is_killed_ends_its_log_with_what_killed_it(tmp_path, monkeypatch, before):
    known = endings.oom_kills()
    if before is not None and not known:
        pytest.skip("the kernel of this machine counts none, or has killed none")
    monkeypatch.setattr(endings, "oom_kills", lambda: known if before == "now" else before)
    settings = SimpleNamespace(deployment_method=set())
    flow = SimpleNamespace(deployment_settings=settings, is_main_process=True, modifier=None)
    prefix = InsideSnakemake(flow).shell_prefix().replace("{{", "{").replace("}}", "}")
    os.mkfifo(tmp_path / "never.json")
    rule = "stage data --kind pool --format alpaca --source never.json --out out.parquet &> log"
    job = subprocess.Popen(["bash", "-c", f"set -euo pipefail; {prefix} {rule}"], cwd=tmp_path, env=ALONE)
    wait_until(lambda: psutil.Process(job.pid).children(), 20)
    with suppress(psutil.NoSuchProcess):
        psutil.Process(job.pid).children()[0].kill()
    assert job.wait(20) == 137
    assert (tmp_path / "log").read_text().splitlines()[-1].startswith(f"data: {KILLED[before]}")
