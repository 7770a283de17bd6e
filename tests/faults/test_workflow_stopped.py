"""Workflows that are killed, interrupted, locked out or without room: real signals, real full disks, the same bytes."""

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
from helpers.edits import ROOT, edit
from helpers.tiny_study import CONFIG

pytestmark = pytest.mark.faults
RUNS = "runs/llama/safety/*/*/*"
GENERATED = (f"{RUNS}/responses.parquet", f"{RUNS}/generation.json")
JUDGED = (f"{RUNS}/scores", "scores.parquet")
SCORES = "results/tiny/scores.parquet"
FULL = r"could not be written \(No space left on device: \d+\.\d MiB free, and it needs more\); make room and run again"


def wait_until(holds, job: subprocess.Popen, seconds=300) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert job.poll() is None and time.monotonic() < deadline, "it never came to that"
        time.sleep(0.002)


def generates(study) -> bool:
    """Whether some responses are kept already and no run has all of them."""
    tiny = study.results / "tiny"
    return any(tiny.glob("partial/generate/**/*.jsonl")) and not any(tiny.glob(GENERATED[0]))


def judges(study) -> bool:
    return 1 <= len(list((study.results / "tiny").glob(f"{RUNS}/scores/*"))) < 6


def ended(job: subprocess.Popen, number: int) -> int:
    """Send a signal until the job ends, and return its status: on a busy machine Snakemake 9.27 once lost a Ctrl-C."""
    for _ in range(3):
        job.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return job.wait(60)
    raise AssertionError("three signals did not end it")


def kill(job: subprocess.Popen) -> None:
    """SIGKILL Snakemake and all its processes at one moment, the preloaded one and its forks too, as a power cut."""
    snakemake = psutil.Process(job.pid)
    snakemake.suspend()
    still = (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    while awake := [child for child in snakemake.children(recursive=True) if child.status() not in still]:
        for process in awake:
            process.suspend()
    children = snakemake.children(recursive=True)
    assert any("preload_server.py" in " ".join(child.cmdline()) for child in children)
    for process in [snakemake, *children]:
        process.kill()
    assert job.wait() == -signal.SIGKILL


def tear(study) -> int:
    """Leave half a file wherever a killed job was to write, as a power cut does; how many."""
    markers = list((study.folder / ".snakemake/incomplete").iterdir())
    for marker in markers:
        (study.folder / base64.b64decode(marker.name, b"-_").decode()).write_bytes(b"half")
    return len(markers)


def holds_only_whole_files(study, finished) -> bool:
    """Whether all that stands under a final name is what the run has there that was never stopped."""
    found = {(path, digest) for path, digest in study.files().items() if not Path(path).name.startswith(".")}
    return found <= set(finished.files().items())


def test_a_workflow_that_is_killed_twice_ends_with_the_bytes_of_one_that_was_not(finished, copy):
    copy.without(*GENERATED, *JUDGED)
    for midway in (generates, judges):
        job = copy.start(SCORES)
        wait_until(lambda midway=midway: midway(copy), job)
        kill(job)
        assert holds_only_whole_files(copy, finished)
        assert tear(copy), "no job was under way"
        copy.succeed("--unlock")
    copy.succeed(SCORES)
    assert copy.files() == finished.files()


@pytest.mark.release
def test_an_interrupted_workflow_fails_with_whole_files_only_and_continues(finished, copy):
    copy.without(*GENERATED, *JUDGED)
    for midway, number in ((generates, signal.SIGINT), (judges, signal.SIGTERM)):
        job = copy.start(SCORES)
        wait_until(lambda midway=midway: midway(copy), job)
        assert ended(job, number) > 0, "it ends by itself, and says that it failed"
        assert SCORES.removeprefix("results/") not in copy.files() and holds_only_whole_files(copy, finished)
    copy.succeed(SCORES)
    assert copy.files() == finished.files()


def test_a_second_workflow_in_the_same_folder_fails_at_once_and_the_first_is_unaffected(finished, copy):
    copy.without("figures", "tables")
    first = copy.start()
    wait_until(lambda: any((copy.folder / ".snakemake/locks").glob("*")), first)
    said, started = copy.said(), time.monotonic()
    (copy.folder / "said").rename(copy.folder / "first")
    second = copy.run()
    assert second != 0 and time.monotonic() - started < 30 and first.poll() is None
    assert "Directory cannot be locked" in copy.said() and "Traceback" not in copy.said() + said
    assert first.wait(120) == 0 and copy.files() == finished.files()


def test_a_job_that_succeeds_without_its_output_fails_soon(copy):
    copy.without("tables/table1.*")
    edit(copy.folder, "scripts/table.py", "    options = parse", "    return\n    options = parse")
    started = time.monotonic()
    assert copy.run("results/tiny/tables/table1.csv", BALLAST_PRELOAD="") != 0 and time.monotonic() - started < 60
    assert "table: results/tiny/tables/table1.csv: not written, though its stage ended well" in copy.said()
    assert not list((copy.results / "tiny/tables").glob("table1.*"))


@pytest.fixture
def disk(tmp_path):
    """Make a folder a file system of its own, with that many KiB free beside what it holds."""
    mounted = []

    def small(folder: Path, free: int) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        held = shutil.move(folder, tmp_path / "held")
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder]
        if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("a full disk needs the right to mount one")
        mounted.append(folder)
        shutil.copytree(held, folder, dirs_exist_ok=True)
        room = shutil.disk_usage(folder).free - 1024 * free
        os.posix_fallocate(handle := os.open(folder / "filler", os.O_CREAT | os.O_WRONLY), 0, room)
        os.close(handle)
        return folder

    yield small
    for folder in mounted:
        subprocess.run(["umount", folder], check=True)


def one_line(text: str, path: Path | str) -> bool:
    return len(re.findall(f"^.*{re.escape(str(path))}: {FULL}$", text, re.MULTILINE)) == 1 and "Traceback" not in text


def test_a_stage_on_a_full_disk_says_so_in_one_line_and_leaves_the_old_file(finished, disk, tmp_path):
    folder = disk(tmp_path / "disk", free=8)
    target = folder / "pool.parquet"
    target.write_text("old")
    source = finished.results / "worlds/small/data/safety.json"
    command = [sys.executable, ROOT / "scripts/stage.py", "data", "--kind=pool", "--format=alpaca"]
    done = subprocess.run([*command, f"--source={source}", f"--out={target}"], capture_output=True, text=True)
    assert done.returncode == 1 and one_line(done.stderr, target)
    assert target.read_text() == "old" and sorted(os.listdir(folder)) == ["filler", "pool.parquet"]


def test_every_kind_of_file_meets_a_full_disk_in_one_line(finished, disk, tmp_path):
    """Arrow, safetensors, tokenizers and matplotlib each raise an error of their own."""
    import torch
    from matplotlib.figure import Figure
    from safetensors.torch import save_file
    from tokenizers import Tokenizer

    from ballast.files import BallastError, atomic, write_text
    from ballast.results.style import save

    tokenizer = Tokenizer.from_file(str(finished.results / "worlds/small/tokenizer/tokenizer.json"))

    def safetensors(path):
        with atomic(path) as temporary:
            save_file({"a": torch.rand(100000)}, str(temporary))

    def rust(path):
        with atomic(path) as temporary:
            tokenizer.save(str(temporary))

    def figure(path):
        drawn = Figure((20, 20))
        drawn.subplots().imshow(np.random.default_rng(0).random((99, 99)))
        save(drawn, path, "png")

    folder = disk(tmp_path / "disk", free=8)
    for write in (safetensors, rust, figure, lambda path: write_text(path, "a" * 20000)):
        with pytest.raises(BallastError) as error:
            write(folder / "new")
        assert one_line(str(error.value), folder / "new") and os.listdir(folder) == ["filler"]


def test_a_disk_without_room_for_a_log_is_named_at_the_end(copy, disk):
    copy.without("tables/table1.*", "logs/tables/table1.log")
    disk(copy.results, free=0)
    assert copy.run("results/tiny/tables/table1.csv", BALLAST_PRELOAD="") == 1
    assert (copy.results / "tiny/logs/tables/table1.log").read_text() == ""
    assert "ballast: results/tiny: 0.0 MiB free on its disk; make room and run again\n" in copy.said()


def test_a_workflow_on_a_full_disk_says_so_and_continues_once_there_is_room(finished, copy, disk):
    copy.without("runs/llama/safety/random/n14/t0/*.*", "runs/llama/safety/random/n14/t0/scores", JUDGED[1])
    disk(copy.results, free=60)
    assert copy.run(SCORES) == 1
    log = (copy.results / "tiny/logs/train/llama/safety/random/n14/t0.log").read_text()
    adapter = "results/tiny/runs/llama/safety/random/n14/t0/adapter_model.safetensors"
    assert one_line(log, adapter) and log in copy.said()
    (copy.results / "filler").unlink()
    assert set(copy.files().items()) <= set(finished.files().items()), "whole files only, no temporary one"
    copy.succeed(SCORES)
    assert copy.files() == finished.files()


@pytest.mark.release
def test_a_job_of_a_cluster_saves_first_where_its_first_process_alone_is_told_to_stop(copy):
    """So Slurm does it: SIGTERM to Snakemake on the node, nothing to the processes below it."""
    edit(copy.folder, CONFIG, "experiments:", "training: {num_train_epochs: 6}\nexperiments:")
    run, log = RUNS.replace("*/*/*", "sss/n14/t0"), copy.results / "tiny/logs/train/llama/safety/sss/n14/t0.log"
    log.unlink()
    adapter = f"results/tiny/{run}/adapter_model.safetensors"
    job = copy.start(adapter, "--mode", "remote", "--cores", "1", "--force", "--nolock", "--allowed-rules", "train")
    wait_until(lambda: log.exists() and "'loss'" in log.read_text(), job)
    os.kill(job.pid, signal.SIGTERM)
    assert job.wait(60) != 0 and "stopped by SIGTERM at step" in log.read_text()
    copy.succeed(adapter)
    assert "continues from step" in log.read_text()
