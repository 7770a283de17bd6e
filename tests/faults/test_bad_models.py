"""Torn weights, losses that are no numbers and a full GPU: one line that says what to do, and nothing half-made."""

import json
import os
import re
import runpy
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers.tiny_runs import ALPACA_SHAPED, DECODING, OPTIONS
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from ballast import schemas
from ballast.backends import transformers as backend
from ballast.backends import vllm
from ballast.data.rows import PAIR
from ballast.files import BallastError
from ballast.picks import embedding
from ballast.plugins import HOME
from ballast.training import checkpoints, fit
from ballast.world import models as world

TEMPLATE = str(HOME / "judges/md_judge.json")
JUDGE = {"backend": "transformers", "batch_size": 64, "max_length": 3000, "dtype": "float32", "max_unparsable": 1.0}
PROMPT = {"prompt": "alpaca", "template": os.path.abspath(ALPACA_SHAPED), "system": None}
GENERATION = DECODING | PROMPT | {"backend": "transformers", "max_prompt_tokens": 400, "batch_size": 3}
TRAINING = OPTIONS | PROMPT | {"trainer": "sft", "num_train_epochs": 3, "warmup_steps": 0}


class Study:
    """All that three stages read, in a folder; each is started in this process through `scripts/stage.py`."""

    def __init__(self, folder: Path, model: str, rows: pd.DataFrame, monkeypatch, capfd):
        self.folder, self.monkeypatch, self.capfd = folder, monkeypatch, capfd
        shutil.copytree(model, folder / "model")
        pairs = rows[["id", *PAIR]]
        schemas.write(folder / "base.parquet", pairs[:10], schemas.PAIRS)
        schemas.write(folder / "subset.parquet", pairs[10:], schemas.PAIRS)
        asked = pd.DataFrame({"id": ["p0", "p1"], "prompt": ["Say a.", "Say b."]})
        asked = asked.assign(category=pd.array([None] * 2, dtype="Int8"))
        schemas.write(folder / "b.parquet", asked, schemas.BENCHMARK)
        said = asked.assign(benchmark="b", response=["a", "b"], finish_reason="stop", prompt_tokens=1)
        said = said.assign(response_tokens=1, prompt_cut=False)
        schemas.write(folder / "responses.parquet", said, schemas.RESPONSES)
        monkeypatch.chdir(folder)
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.delenv("BALLAST_PRELOAD", raising=False)

    def stage(self, name: str, **given) -> list[str]:
        """Exit status and the lines that the stage said, without its costs."""
        flags = [word for key, value in given.items() for word in (f"--{key}".replace("_", "-"), str(value))]
        self.monkeypatch.setattr(sys, "argv", ["stage.py", name, *flags])
        self.monkeypatch.setattr(sys, "path", [*sys.path])
        with pytest.raises(SystemExit) as ending:
            runpy.run_path(str(HOME.parent / "stage.py"), run_name="__main__")
        lines = self.capfd.readouterr().err.splitlines()
        return [ending.value.code, *(line for line in lines if line.startswith(f"{name}: ") and "CPU" not in line)]

    def train(self, minutes=0, **changes) -> list[str]:
        options, data = json.dumps(TRAINING | changes), {"base": "base.parquet", "subset": "subset.parquet"}
        run = {"seed": 0, "code": "c", "partial": "partial", "checkpoint_minutes": minutes}
        return self.stage("train", model="model", options=options, out="run", **data, **run)

    def generate(self, **changes) -> list[str]:
        given = {"benchmarks": "b=b.parquet", "partial": "partial", "out": "said.parquet", "record": "said.json"}
        return self.stage(
            "generate", model="model", options=json.dumps(GENERATION | changes.pop("options", {})), **given, **changes
        )

    def judge(self, name="md-judge", **changes) -> list[str]:
        options = json.dumps(JUDGE | {"model": "model", "template": TEMPLATE} | changes)
        given = {"benchmark": "b", "responses": "responses.parquet", "store": "store", "out": "judged.parquet"}
        return self.stage("judge", judge=name, options=options, **given)

    def made(self) -> set[str]:
        """Files that were not there at the start; `partial` and `store` may stay as folders without one."""
        given = {"base.parquet", "subset.parquet", "b.parquet", "responses.parquet"}
        found = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file()}
        return {name for name in found - given if not name.startswith(("model/", "adapter/"))}


@pytest.fixture
def study(tmp_path, model, rows, monkeypatch, capfd) -> Study:
    return Study(tmp_path, model, rows, monkeypatch, capfd)


def tear(path: Path, size: int) -> str:
    """Leave the first bytes of a file; what a reader says of it."""
    os.truncate(path, size)
    return (
        f"{path}: not a whole safetensors file ({size} bytes); delete it and run again, "
        "or copy it again where it is a file of yours"
    )


# Empty; within the header; a whole header with too little behind it.
SIZES = [0, 100, -4]


@pytest.mark.parametrize("size", SIZES)
def test_a_torn_base_model_stops_every_stage_that_reads_it(study, size):
    weights = Path("model/model.safetensors")
    said = tear(weights, size if size >= 0 else weights.stat().st_size + size)
    for stage in (study.train, study.generate, study.judge):
        name = stage.__name__
        assert stage() == [1, f"{name}: {said}"]
        assert study.made() == set()


@pytest.mark.parametrize("size", SIZES)
def test_a_torn_adapter_stops_generation(study, size):
    assert study.train() == [0]
    Path("run").rename("adapter")
    weights = Path("adapter/adapter_model.safetensors")
    said = tear(weights, size if size >= 0 else weights.stat().st_size + size)
    assert study.generate(adapter="adapter") == [1, f"generate: {said}"]
    assert study.made() == set()


def test_torn_weights_stop_the_embedding_and_the_world_too(study):
    said = tear(Path("model/model.safetensors"), 100)
    for read in (lambda: embedding.embed("model", ["a"], 1), lambda: world.load_model("model")):
        with pytest.raises(BallastError) as error:
            read()
        assert str(error.value) == said


def test_vllm_is_not_started_on_a_torn_model_or_adapter(study):
    """Whether vLLM is installed or not: its engine would be the first to need it."""
    assert study.train() == [0]
    said = tear(Path("run/adapter_model.safetensors"), 100)
    with pytest.raises(BallastError, match=re.escape(said)):
        vllm.generate("model", "run", [[1, 5]], GENERATION)
    said = tear(Path("model/model.safetensors"), 100)
    with pytest.raises(BallastError, match=re.escape(said)):
        vllm.generate("model", None, [[1, 5]], GENERATION)
    with pytest.raises(BallastError, match=re.escape(said)):
        vllm.answer("model", ["a"], JUDGE, 1)


@pytest.mark.parametrize("file", ["model/config.json", "adapter/adapter_config.json"])
def test_a_torn_config_is_named(study, file):
    assert study.train() == [0]
    Path("run").rename("adapter")
    os.truncate(file, 20)
    assert study.generate(adapter="adapter")[1].startswith(f"generate: {file}: line ")
    assert study.made() == set()


# ---- judges


def test_a_judge_that_answers_junk_fails_its_stage_and_writes_no_score(study):
    said = "2 of 2 answers could not be read, more than max_unparsable 0.2"
    status, line = study.judge(max_unparsable=0.2)
    assert status == 1 and line.startswith(f"judge: judge md-judge: {said}; ")
    assert not Path("judged.parquet").exists()
    assert study.judge(max_unparsable=1.0) == [0]
    scores = schemas.read("judged.parquet", schemas.JUDGED)
    assert scores["score"].isna().all() and set(scores["answer_status"]) == {"unparsable"}


def test_a_reward_model_that_is_no_number_gives_missing_scores_and_fails(study, reward_model):
    shutil.copytree(reward_model, "reward")
    weights = {name: tensor * float("nan") for name, tensor in load_file("reward/model.safetensors").items()}
    save_file(weights, "reward/model.safetensors", {"format": "pt"})
    status, line = study.judge("harm-rm", model="reward", max_unparsable=0.2)
    assert status == 1 and line.startswith("judge: judge harm-rm: 2 of 2 answers could not be read")
    assert not Path("judged.parquet").exists()


# ---- losses

# Weights near the largest number of their type: they leave it in the second step.
EXPLODES = {"learning_rate": 3e37, "lr_scheduler_type": "constant"}


def test_a_learning_rate_that_explodes_publishes_nothing_and_leaves_no_checkpoint(study):
    sealed = []
    study.monkeypatch.setattr(
        checkpoints,
        "write_json",
        lambda path, value, write=checkpoints.write_json: (sealed.append(path), write(path, value)),
    )
    status, said = study.train(**EXPLODES)
    assert status == 1 and said.startswith("train: training loss is nan at step 3; lower training.learning_rate")
    assert len(sealed) == 2 and study.made() == set(), "the last checkpoint was of weights that had exploded"
    # Nothing of it is continued: the same command fails in the same way, and a lower rate succeeds.
    assert study.train(**EXPLODES) == [status, said]
    assert study.train() == [0] and "run/adapter_model.safetensors" in study.made()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_base_model_that_is_no_number_publishes_nothing(study, value):
    weights = load_file("model/model.safetensors")
    weights["lm_head.weight"][:, 0] = value
    save_file(weights, "model/model.safetensors", {"format": "pt"})
    status, said = study.train()
    assert status == 1 and said.startswith("train: training loss is nan at step 1; ")
    assert study.made() == set()


def test_a_last_step_that_breaks_the_adapter_publishes_nothing(study):
    """Its own loss is a number, and no later one is taken."""
    compute, steps = fit.Trainer.compute_loss, 6

    def breaks_in_the_end(trainer, network, *arguments, **options):
        loss = compute(trainer, network, *arguments, **options)
        if trainer.state.global_step == steps - 1:
            weight = next(parameter for parameter in network.parameters() if parameter.requires_grad)
            loss = loss + (0 * weight.sum()).sqrt()  # 0, with a gradient that is not a number
        return loss

    study.monkeypatch.setattr(fit.Trainer, "compute_loss", breaks_in_the_end)
    status, said = study.train()
    assert status == 1 and said.startswith(f"train: the adapter is not a number after step {steps}; lower training.")
    assert study.made() == set()


# ---- memory

FULL = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 47.50 GiB of which 1.00 GiB is free."
    "\nSee documentation for Memory Management"
)
LINE = "the GPU's memory is full (CUDA out of memory. Tried to allocate 2.00 GiB); "


@pytest.fixture
def full(study, monkeypatch):
    """From now on every forward pass finds the GPU's memory full."""

    def forward(*_, **__):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr(LlamaForCausalLM, "forward", forward)


def test_a_gpu_too_small_for_training_names_the_micro_batch_and_keeps_the_batch(study, full):
    advice = "set training.per_device_train_batch_size below 4"
    stays = "(training.batch_size stays 8: more micro-batches make up a step)"
    assert study.train() == [1, f"train: {LINE}{advice} {stays}, or take a GPU with more memory"]
    assert study.made() == set()


def test_a_gpu_too_small_for_generation_names_its_batch(study, full):
    assert study.generate() == [1, f"generate: {LINE}set generation.batch_size below 3, or take a GPU with more memory"]
    assert study.made() == set()


def test_a_gpu_too_small_for_a_judge_names_the_rows_that_it_takes_at_once(study, full):
    said = "set the batch_size of this judge or model below 16, or take a GPU with more memory"
    assert study.judge() == [1, f"judge: {LINE}{said}"], "16 rows at once, however many batch_size allows"
    assert study.made() == set()


def test_where_one_row_is_too_many_only_a_larger_gpu_helps(study, full):
    one = "is 1 already: take a GPU with more memory"
    assert study.generate(options={"batch_size": 1}) == [1, f"generate: {LINE}generation.batch_size {one}"]


def test_training_out_of_memory_continues_from_its_checkpoint(study):
    """Memory that another process took for a while is no reason to begin again."""
    compute, left = fit.Trainer.compute_loss, [FULL]

    def full_once(trainer, *arguments, **options):
        if trainer.state.global_step == 2 and left:
            raise torch.OutOfMemoryError(left.pop())
        return compute(trainer, *arguments, **options)

    study.monkeypatch.setattr(fit.Trainer, "compute_loss", full_once)
    assert study.train()[0] == 1 and not Path("run").exists()
    status, said = study.train()
    assert status == 0 and said.startswith("train: continues from step 2, ")


def test_vllm_out_of_memory_names_the_same_keys(study, monkeypatch):
    def engine(*_):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr(vllm, "_engine", engine)
    ids, options = [[1, 5]], GENERATION | {"batch_size": 64}
    with pytest.raises(BallastError, match="set generation.batch_size below 64, or take a GPU with more memory"):
        vllm.generate("model", None, ids, options)
    with pytest.raises(BallastError, match="set the batch_size of this judge or model below 64, or take a GPU"):
        vllm.answer("model", ["a"], JUDGE, 1)


def test_a_model_that_does_not_fit_says_so(model, monkeypatch):
    def too_large(*_, **__):
        raise torch.OutOfMemoryError(FULL)

    monkeypatch.setattr(LlamaForCausalLM, "to", too_large)
    with pytest.raises(BallastError, match="the model itself does not fit: take a GPU with more memory"):
        backend.load_model(model)
