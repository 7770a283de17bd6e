"""Full fine-tuning: all weights are trained, and a run's folder holds a model that loads by itself."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny_runs import DECODING, OPTIONS
from safetensors.torch import load_file

from ballast.asking.loading import load_model
from ballast.backends import transformers as backend
from ballast.files import BallastError
from ballast.running import gpu_memory
from ballast.study import config
from ballast.study.card_options import CardOptions
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.place_inputs import MODEL_FILES
from ballast.study.plan import Plan
from ballast.study.runs import Run
from ballast.trainers import sft
from ballast.training import fit

ROOT = Path(__file__).parents[2]
FULL = OPTIONS | {"full": True, "learning_rate": 1e-3}


@pytest.mark.parametrize("packed", [False, True])
def test_all_weights_are_trained_and_the_folder_is_a_model(model, rows, tmp_path, packed):
    for name in ("one", "two"):
        log = sft.train(model, rows, FULL | {"packing": packed}, 0, tmp_path / name)
    assert log["steps"] == 2 and log["last_loss"] > 0
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == sorted(MODEL_FILES)
    for file in MODEL_FILES:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    before, after = load_model(model).state_dict(), load_model(tmp_path / "one").state_dict()
    assert all(not torch.equal(before[name], after[name]) for name in before)
    assert json.loads((tmp_path / "one/config.json").read_text())["use_cache"] is True
    answers = [backend.generate(str(folder), None, [[1, 5, 7]], DECODING) for folder in (model, tmp_path / "one")]
    assert len(answers[1]) == 1 and list(answers[0]) == list(answers[1])


def test_weights_are_trained_in_float32_and_computed_and_written_in_the_dtype(model, rows, tmp_path, monkeypatch):
    loaded, computed = [], set()

    def load(*given, **more):
        loaded.append(given[1])
        network = load_model(*given)
        network.model.layers[0].mlp.register_forward_hook(lambda layer, given, found: computed.add(found.dtype))
        return network

    monkeypatch.setattr(fit, "load_model", load)
    sft.train(model, rows, FULL | {"dtype": "bfloat16"}, 0, tmp_path)
    assert loaded == ["float32"], "small steps are lost in bfloat16 weights"
    assert computed == {torch.bfloat16}
    assert {weight.dtype for weight in load_file(tmp_path / "model.safetensors").values()} == {torch.bfloat16}


def load(**changes):
    raw = config.read(ROOT / "config/mini.yaml")
    raw["training"] |= {"full": True}
    return config.load(raw | changes)


METHODS = {"ours": {"trainer": "lisa"}, "later": {"of": "random", "then": "more"}}
TASK = {"world": "base.json"}
GRID = {"models": ["llama"], "pools": ["safety"], "n": [14], "trials": 1, "metrics": ["harm"]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"full": True, "quantize": "int8"}}, "full trains all weights, and weights in int8 cannot be"),
        (
            {"tasks": {"more": TASK}, "methods": METHODS, "experiments": {"beyond": GRID | {"samplers": ["ours"]}}},
            "training.full: 'ours' has trainer lisa, which needs an adapter; set false, or leave it out",
        ),
        (
            {"tasks": {"more": TASK}, "methods": METHODS, "experiments": {"beyond": GRID | {"samplers": ["later"]}}},
            "training.full: 'later' has 'of' random, which needs an adapter",
        ),
    ],
)
def test_what_needs_an_adapter_is_refused(changes, words):
    with pytest.raises(BallastError, match=words):
        load(**changes)


def test_the_folder_of_a_run_answers_for_itself_and_the_model_as_it_is_for_the_model():
    options = JobOptions(JobInputs(Plan(load())))
    run, plain = (SimpleNamespace(run=path) for path in ("llama/safety/random/n14/t0", "llama/as-is"))
    folder = "results/mini/runs/llama/safety/random/n14/t0"
    assert options.generating_model(run) == folder and options.inputs.adapter(run)[2] == f"{folder}/model.safetensors"
    assert options.adapter(run) == f"--trained {folder}/model.safetensors" and options.adapter(plain) == ""
    assert options.generating_model(plain) == options.model(SimpleNamespace(model="llama"))


def test_a_run_that_is_a_model_has_no_card():
    with pytest.raises(BallastError, match="training.full: a run holds a whole model, which needs no merge"):
        CardOptions(JobOptions(JobInputs(Plan(load())))).card(Run("llama", "safety", "random", 14, 0))


def test_every_weight_takes_16_bytes():
    """Weight, gradient and two moments in float32, or the moments in 8 bits; no adapter."""
    shape = gpu_memory.Shape(7e9, 6e9, 4e6)
    training = {
        "dtype": "bfloat16",
        "packing": False,
        "per_device_train_batch_size": 4,
        "max_length": 256,
        "full": True,
    }
    found = [gpu_memory.training(shape, training | {"optim": one}) for one in ("adamw_torch", "adamw_bnb_8bit")]
    assert [sum(parts.values()) for parts in found] == [7 * 16, 7 * 10]
