"""`training.tracking`: the Trainer reports to a tracker, and nothing that is made or planned knows of it."""

import importlib.util
import json
import os
import sys
from pathlib import Path

import pytest
from helpers.tiny_runs import ALPACA_SHAPED, OPTIONS
from test_job_inputs import jobs, wildcards

from ballast import schemas
from ballast.files import BallastError
from ballast.running import inside_snakemake
from ballast.study import config, requirements
from ballast.study.arguments import as_json
from ballast.training import tracking

ROOT = Path(__file__).parents[2]
TRAINING = OPTIONS | {"trainer": "sft", "template": os.path.abspath(ALPACA_SHAPED)}
RUN = "results/made/runs/llama/safety/sss/n2/t0"
# A tracker's package with what the Trainer's integration of trackio asks of it.
STAND_IN = """
import contextvars, json, os
__version__ = "0.43.0"
class context_vars:
    current_space_id = contextvars.ContextVar("space", default=None)
class Config(dict):
    def update(self, given, allow_val_change=True):
        dict.update(self, {name: str(value) for name, value in given.items()})
config = Config()
def _write(what, value):
    with open("tracked.jsonl", "a") as file:
        file.write(json.dumps({"what": what, "value": value}, default=str) + "\\n")
def init(**given):
    _write("init", given)
def log(values, **_):
    _write("log", values)
def finish():
    _write("finish", None)
    _write("config", config)
"""
# Nothing leaves this machine, and nothing is written outside the working folder.
ENVIRONMENT = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "MLFLOW_TRACKING_URI": "file:mlruns"}
ENVIRONMENT |= {"MLFLOW_ALLOW_FILE_STORE": "true", "TRACKIO_DIR": "trackio"}


@pytest.fixture
def learn(model, rows, run_stage, tmp_path, monkeypatch):
    """Train a run below results/ of the working folder, as its rule does; return how the stage ended."""
    for name in filter(None, [*ENVIRONMENT, *tracking.TRACKERS.values()]):
        monkeypatch.setenv(name, ENVIRONMENT.get(name, ""))
    for name in filter(None, tracking.TRACKERS.values()):
        monkeypatch.delenv(name)  # after a value, so that pytest takes away what the stage sets
    monkeypatch.chdir(tmp_path)
    for name, origin in (("base", "base"), ("subset", "subset")):
        part = rows[rows["origin"] == origin][["id", "instruction", "input", "output"]]
        schemas.write(tmp_path / f"{name}.parquet", part, schemas.PAIRS)

    def learn(tracker: str):
        files = ["--base", "base.parquet", "--subset", "subset.parquet", "--out", RUN]
        told = ["--seed", "0", "--code", "c", "--partial", "partial", "--checkpoint-minutes", "10"]
        return run_stage(
            "train", "--model", model, *files, *told, "--options", json.dumps(TRAINING), "--tracking", tracker
        )

    return learn


def made(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / RUN).iterdir())}


def test_each_step_is_reported_under_the_runs_name_and_the_adapter_has_the_same_bytes(learn, tmp_path, monkeypatch):
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/trackio.py").write_text(STAND_IN)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.setitem(sys.modules, "trackio", None)  # so that pytest takes the stand-in away again
    monkeypatch.delitem(sys.modules, "trackio")
    assert learn("off").returncode == 0 and not (tmp_path / "tracked.jsonl").exists()
    plain = made(tmp_path)
    done = learn("trackio")
    assert done.returncode == 0, done.stderr
    assert made(tmp_path) == plain
    told = [json.loads(line) for line in (tmp_path / "tracked.jsonl").read_text().splitlines()]
    first = told[0]["value"]
    assert (first["project"], first["name"]) == ("made", "llama/safety/sss/n2/t0")
    losses = [one["value"]["train/loss"] for one in told if one["what"] == "log" and "train/loss" in one["value"]]
    steps = json.loads(plain["training.json"])
    assert len(losses) == steps["steps"] == 2 and losses[0] == pytest.approx(steps["first_loss"])
    assert [one["what"] for one in told].count("finish") == 1
    assert "Say a." not in (tmp_path / "tracked.jsonl").read_text(), "a tracker gets settings and losses, no row"


@pytest.mark.parametrize("tracker", tracking.TRACKERS)
def test_a_tracker_that_is_installed_changes_no_byte(learn, tmp_path, tracker):
    """No lock has one of them: this runs where somebody installed it."""
    if not importlib.util.find_spec(tracker):
        pytest.skip(f"{tracker} is not installed")
    assert learn("off").returncode == 0
    plain = made(tmp_path)
    done = learn(tracker)
    assert done.returncode == 0, done.stderr
    assert made(tmp_path) == plain
    folder = {"wandb": "wandb", "mlflow": "mlruns", "trackio": "trackio"}[tracker]
    assert any(path.is_file() for path in (tmp_path / folder).rglob("*"))


def test_a_tracker_that_is_absent_is_one_line_before_any_training(learn, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "wandb" else find(name))
    done = learn("wandb")
    assert done.returncode == 1 and not (tmp_path / RUN).exists() and not (tmp_path / "partial").exists()
    first, *cost = done.stderr.splitlines()
    assert first == (
        "train: training.tracking: wandb is not installed in this environment; pip install wandb, or leave the key out"
    )
    assert len(cost) == 1, "the line of what the job used"


def tracked(tracker: str | None):
    return jobs(training={"num_train_epochs": 2, "tracking": tracker})


def test_no_job_starts_where_the_tracker_is_absent(monkeypatch):
    needed = requirements.packages(tracked("mlflow").plan)
    assert {rule for rule in needed if "mlflow" in needed[rule]} == {"train", "train_selecting", "train_on"}
    assert not any(set(tracking.TRACKERS) & packages for packages in requirements.packages(jobs().plan).values())
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "mlflow" else find(name))
    with pytest.raises(SystemExit) as stopped:
        inside_snakemake._stop_if_absent(["train"], needed)
    assert "no job is started; pip install mlflow, or leave training.tracking out" in str(stopped.value)


def test_no_option_of_a_job_or_document_knows_the_tracker():
    on, off = tracked("wandb"), tracked(None)
    run = on.plan.runs[0]
    assert on.options.training(wildcards(run)) == off.options.training(wildcards(run))
    assert on.cards.card(wildcards(run)) == off.cards.card(wildcards(run))
    assert as_json(on.plan.study) == as_json(off.plan.study) and "wandb" not in as_json(on.plan.study)
    assert on.plan.study.training.tracking == "wandb" and jobs().plan.study.training.tracking is None


def test_an_aligned_start_takes_no_tracker():
    raw = config.read(ROOT / "tests/workflow/aligned.yaml")
    start = next(model for model in raw["models"].values() if model.get("aligned"))
    start["aligned"]["training"] = start["aligned"].get("training", {}) | {"tracking": "wandb"}
    with pytest.raises(BallastError, match="aligned.training.tracking: only the runs are tracked; leave it out"):
        config.load(raw)
