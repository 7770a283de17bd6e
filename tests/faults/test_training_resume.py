"""Training that is killed, preempted or out of time: real signals to real processes, and the same bytes after."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers.preloaded import ALONE as WITHOUT
from helpers.preloaded import preloaded as preloaded_process

from ballast import schemas
from ballast.data.rows import PAIR
from ballast.study import config
from ballast.study.fine_tuning import Training
from ballast.study.sources import own_template
from ballast.training.checkpoints import MARKER

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
TRAINING = {
    "num_train_epochs": 40,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "max_length": 64,
    "train_sampling_strategy": "group_by_length",
    "lora": {"lora_dropout": 0.1},
}
OPTIONS = Training(**TRAINING).model_dump() | {
    "prompt": "alpaca",
    "system": None,
    "template": os.path.abspath(own_template("alpaca-shaped")),
}
STEPS = 40 * 4
RESULT = ("adapter_model.safetensors", "adapter_config.json", "training.json")
EVERY_STEP, NEVER = 0, 1000
SETTINGS = {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
ALONE = WITHOUT | SETTINGS


@pytest.fixture(scope="module")
def study(model, tmp_path_factory) -> Path:
    """A folder with all that a run reads: 26 base rows and a subset of 6."""
    folder = tmp_path_factory.mktemp("study")
    words = [letter * (1 + number % 9) for number, letter in enumerate("abcdefghijklmnopqrstuvwxyzABCDEF")]
    rows = [{"instruction": f"Say {word}.", "input": "", "output": word} for word in words]
    pairs = pd.DataFrame(rows).assign(id=words)[["id", *PAIR]]
    for name, part in (("base", slice(0, 26)), ("subset", slice(31, 25, -1))):
        schemas.write(folder / f"{name}.parquet", pairs[part], schemas.PAIRS)
        (folder / f"{name}.json").write_text(json.dumps(rows[part]))
    (folder / "model").symlink_to(model)
    return folder


class Run:
    """One run: its outputs, its checkpoints and its log in a folder; the stage is started as its rule starts it."""

    def __init__(self, study: Path, folder: Path):
        self.study, self.folder, self.partial = study, folder, folder / "partial/train/run"

    def start(self, env: dict, minutes: float = NEVER, **changes) -> subprocess.Popen:
        """In a process group of its own."""
        options = json.dumps(OPTIONS | changes, sort_keys=True)
        data = ["--model", "model", "--base", "base.parquet", "--subset", "subset.parquet"]
        run = ["--seed", "7", "--options", options, "--code", "c", "--out", str(self.folder / "run")]
        partial = ["--partial", str(self.partial), "--checkpoint-minutes", str(minutes)]
        command = [sys.executable, str(ROOT / "scripts/stage.py"), "train", *data, *run, *partial]
        with open(self.folder / "log", "w") as log:
            return subprocess.Popen(
                command, cwd=self.study, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def finish(self, env: dict, **changes) -> list[str]:
        """Start and wait; the lines that the run says, without losses and costs."""
        status = self.start(env, **changes).wait(300)
        assert status == 0, self.log()
        return [line for line in self.log().splitlines() if line.startswith("train: ") and "CPU seconds" not in line]

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def results(self) -> list[bytes]:
        return [(self.folder / "run" / name).read_bytes() for name in RESULT]


@pytest.fixture
def run(study, tmp_path) -> Run:
    return Run(study, tmp_path)


@pytest.fixture(scope="module")
def whole(study, tmp_path_factory) -> list[bytes]:
    """What a run leaves that nothing interrupts, and that saves no checkpoint."""
    run = Run(study, tmp_path_factory.mktemp("whole"))
    assert run.finish(ALONE) == [] and not (run.folder / "partial").exists()
    return run.results()


@pytest.fixture(scope="module")
def preloaded():
    """The environment of a job beside a preloaded process."""
    with preloaded_process() as environment:
        yield environment | SETTINGS


def wait_until(holds, seconds=300):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def sealed(partial: Path) -> list[int]:
    """Steps of the checkpoints that are whole."""
    return sorted(int(marker.parent.name.split("-")[1]) for marker in partial.glob(f"checkpoint-*/{MARKER}"))


def continued(lines: list[str]) -> int:
    """The step that a run continued from, as its last line says; a kill may have left a torn checkpoint too."""
    *torn, line = lines
    assert all(re.fullmatch(r"train: .+/checkpoint-\d+ is torn; deleted", other) for other in torn)
    return int(re.match(r"train: continues from step (\d+), .+", line)[1])


def trainers(partial: Path) -> list[int]:
    """Processes that hold this run's folder open: in a fork, not the client that waits for it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if any(link.resolve() == partial / "lock" for link in entry.joinpath("fd").iterdir()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_a_killed_run_continues_and_ends_with_the_same_bytes(run, whole):
    job = run.start(ALONE, EVERY_STEP)
    wait_until(lambda: sealed(run.partial)[-1:] >= [3])
    os.killpg(job.pid, signal.SIGKILL)
    assert job.wait() == -signal.SIGKILL and not (run.folder / "run").exists()
    assert 3 <= continued(run.finish(ALONE)) < STEPS
    assert run.results() == whole and not (run.folder / "partial").exists()


def stopped_by(name: str, run: Run) -> int:
    """The step that a run says it stopped at, which is that of its one checkpoint."""
    [line] = [line for line in run.log().splitlines() if line.startswith("train: stopped")]
    step = int(re.fullmatch(f"train: stopped by {name} at step (\\d+) of {STEPS}; the same command continues", line)[1])
    assert sealed(run.partial) == [step] and step < STEPS
    assert "Traceback" not in run.log() and not (run.folder / "run").exists()
    return step


def test_a_preempted_run_saves_its_step_and_continues(run, whole):
    job = run.start(ALONE, EVERY_STEP)
    wait_until(lambda: sealed(run.partial)[-1:] >= [3])
    os.killpg(job.pid, signal.SIGTERM)
    assert job.wait(60) == 143
    step = stopped_by("SIGTERM", run)
    assert continued(run.finish(ALONE)) == step >= 3
    assert run.results() == whole


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_run_in_a_fork_saves_its_step_though_no_checkpoint_was_due(run, whole, preloaded, name):
    job = run.start(preloaded)
    wait_until(lambda: "'loss'" in run.log())
    [child] = trainers(run.partial)
    assert child != job.pid
    os.killpg(child, getattr(signal, name))
    assert job.wait(60) == 143
    step = stopped_by(name, run)
    assert continued(run.finish(preloaded)) == step > 0
    assert run.results() == whole


def test_a_killed_job_lets_its_fork_save_and_the_next_one_waits_for_it(run, whole, preloaded):
    job = run.start(preloaded)
    wait_until(lambda: "'loss'" in run.log())
    [child] = trainers(run.partial)
    os.kill(child, signal.SIGSTOP)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    again = run.start(preloaded)
    wait_until(lambda: "waits for another process that trains this run" in run.log())
    os.kill(child, signal.SIGCONT)
    assert again.wait(300) == 0
    assert run.results() == whole and not trainers(run.partial)


def test_another_learning_rate_starts_clean(run, whole, preloaded):
    job = run.start(preloaded, learning_rate=2e-3)
    wait_until(lambda: "'loss'" in run.log())
    [child] = trainers(run.partial)
    os.killpg(child, signal.SIGTERM)
    assert job.wait(60) == 143
    [line] = run.finish(preloaded)
    assert line.endswith("is of another configuration (option learning_rate); deleted, nothing of it is used")
    assert run.results() == whole


@pytest.mark.release
def test_a_killed_workflow_continues_its_training(study, tmp_path):
    places = {"models": {"tiny": {"path": str(study / "model")}}, "base": {"path": str(study / "base.json")}}
    places |= {"pools": {"safety": {"path": str(study / "subset.json")}}, "as_is": []}
    experiment = {"models": ["tiny"], "pools": ["safety"], "samplers": ["random"], "n": [6], "trials": 1}
    raw = config.read(ROOT / "config/mini.yaml") | places
    raw |= {"study": "faults", "training": TRAINING, "experiments": {"sampling": experiment}}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(raw))
    run = "tiny/safety/random/n6/t0"

    def snakemake(folder: str, *arguments: str) -> subprocess.Popen:
        command = [SNAKEMAKE, "--snakefile", str(ROOT / "Snakefile"), "--configfile", str(tmp_path / "study.yaml")]
        command += ["--workflow-profile", str(ROOT / "profiles/default"), "--directory", str(tmp_path / folder)]
        command += [f"results/faults/runs/{run}/{RESULT[0]}", *arguments]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=tmp_path, env=ALONE, start_new_session=True, **streams)

    def succeed(*arguments: str) -> str:
        done = snakemake(*arguments)
        said, _ = done.communicate(timeout=300)
        assert done.returncode == 0, said
        return said

    results = tmp_path / "killed/results/faults"
    partial = results / f"partial/train/{run}"
    killed = snakemake("killed", "--set-resources", "train:checkpoint_minutes=0")
    wait_until(lambda: sealed(partial)[-1:] >= [3] or killed.poll() is not None)
    assert killed.poll() is None, killed.communicate()[0]
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert not (results / f"runs/{run}/{RESULT[0]}").exists()
    succeed("killed", "--unlock")
    succeed("killed")
    assert "train: continues from step" in (results / f"logs/train/{run}.log").read_text()
    assert not (results / "partial").exists()
    succeed("never-killed")
    for name in RESULT:
        assert (results / f"runs/{run}/{name}").read_bytes() == (
            tmp_path / f"never-killed/results/faults/runs/{run}/{name}"
        ).read_bytes()
    # Another number of minutes is no other adapter.
    assert "Nothing to be done" in succeed("killed", "--dry-run", "--set-resources", "train:checkpoint_minutes=3")
