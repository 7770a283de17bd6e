"""Transforms of adapters: Safe LoRA in its low-rank form is its definition, written out with d x d matrices."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from helpers.tiny_runs import OPTIONS
from safetensors.torch import load_file, save_file

from ballast import plugins
from ballast.files import BallastError
from ballast.trainers import sft
from ballast.transforms import safe_lora

DEFAULTS = {"layers_by": "number", "layers": 10, "threshold": 0.5}
QUERY = "model.layers.0.self_attn.q_proj"


def made(folder: Path, weights: dict[str, torch.Tensor], **config) -> Path:
    """A folder with weights and what says that they are a model or an adapter."""
    folder.mkdir()
    save_file(weights, folder / config.pop("name", "model.safetensors"))
    (folder / ("adapter_config.json" if config else "config.json")).write_text(json.dumps(config))
    return folder


@pytest.fixture
def case(tmp_path):
    """One weight of 2 x 3: V = [[3, 0, 4], [0, 0, 0]], so that C = [[5, 0], [0, 0]]; dW = B A with B = (1, 1)."""
    aligned = {QUERY + ".weight": torch.tensor([[4.0, 1.0, 4.0], [1.0, 1.0, 1.0]])}
    before = {QUERY + ".weight": torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])}
    adapter = {
        f"base_model.model.{QUERY}.lora_A.weight": torch.tensor([[1.0, 2.0, 2.0]]),
        f"base_model.model.{QUERY}.lora_B.weight": torch.tensor([[1.0], [1.0]]),
    }
    return (
        made(tmp_path / "adapter", adapter, name="adapter_model.safetensors", r=1),
        made(tmp_path / "aligned", aligned),
        made(tmp_path / "pretrained", before),
    )


def run(case, out: Path, **options) -> tuple[dict, torch.Tensor]:
    log = safe_lora.transform(*case, DEFAULTS | options, out)
    return log, load_file(out / "adapter_model.safetensors")[f"base_model.model.{QUERY}.lora_B.weight"]


def test_a_case_by_hand(case, tmp_path):
    """C B = (5, 0); cosine = <(5, 0), (1, 1)> / (5 sqrt 2); ||B A|| = sqrt 2 * 3, and 15 after."""
    log, b = run(case, tmp_path / "out")
    assert b.tolist() == [[5.0], [0.0]]
    assert log["layers"] == [{"layer": QUERY, "cosine": pytest.approx(0.5**0.5), "projected": True}]
    assert log["update_norm"] == pytest.approx(3 * 2**0.5) and log["projected_update_norm"] == pytest.approx(15)
    assert json.loads((tmp_path / "out/adapter_config.json").read_text()) == {"r": 1}


@pytest.mark.parametrize(("options", "projected"), [({"threshold": 0.71}, 1), ({"threshold": 0.7}, 0), ({}, 0)])
def test_a_threshold_is_a_cosine_below_which_layers_are_projected(case, tmp_path, options, projected):
    log, b = run(case, tmp_path / "out", layers_by="threshold", **options)
    assert log["projected"] == projected and b.flatten().tolist() == ([5.0, 0.0] if projected else [1.0, 1.0])


@pytest.fixture(scope="module")
def trained(model, tmp_path_factory):
    """An adapter of the tiny model on all kinds of weights, the model, and another that it was 'aligned' from."""
    import pandas as pd

    folder = tmp_path_factory.mktemp("safe-lora")
    rows = pd.DataFrame({"instruction": list("abcd"), "output": list("abcd")}).assign(input="", origin="base")
    targets = ["q_proj", "v_proj", "up_proj", "down_proj"]
    options = OPTIONS | {"num_train_epochs": 4, "lora": OPTIONS["lora"] | {"target_modules": targets}}
    sft.train(model, rows.assign(id=rows["output"]), options, 0, folder / "adapter")
    shutil.copytree(model, folder / "pretrained")
    weights, noise = load_file(folder / "pretrained/model.safetensors"), torch.Generator().manual_seed(0)
    moved = {name: value + torch.randn(value.shape, generator=noise) / 9 for name, value in weights.items()}
    save_file(moved, folder / "pretrained/model.safetensors", {"format": "pt"})
    return folder / "adapter", Path(model), folder / "pretrained"


def test_the_low_rank_form_is_the_definition(trained, tmp_path):
    log = safe_lora.transform(*trained, DEFAULTS | {"layers": 5}, tmp_path)
    adapter, aligned, before = (load_file(next(folder.glob("*.safetensors"))) for folder in trained)
    found = load_file(tmp_path / "adapter_model.safetensors")
    assert found.keys() == adapter.keys() and len(log["layers"]) == 8
    for entry in log["layers"]:
        name, layer = f"base_model.model.{entry['layer']}", entry["layer"] + ".weight"
        v = aligned[layer].double() - before[layer].double()
        update = adapter[name + ".lora_B.weight"].double() @ adapter[name + ".lora_A.weight"].double()
        wanted = v @ v.T / v.norm() @ update
        cosine = (wanted * update).sum() / wanted.norm() / update.norm()
        assert entry["cosine"] == pytest.approx(float(cosine), abs=1e-9)
        now = found[name + ".lora_B.weight"].double() @ found[name + ".lora_A.weight"].double()
        assert torch.allclose(now, wanted if entry["projected"] else update, rtol=0, atol=1e-6 * float(wanted.norm()))
    cosines = {
        projected: [each["cosine"] for each in log["layers"] if each["projected"] == projected]
        for projected in (True, False)
    }
    assert len(cosines[True]) == log["projected"] == 5 and max(cosines[True]) <= min(cosines[False])


def test_equal_inputs_give_equal_bytes_and_peft_loads_them(trained, tmp_path):
    from peft import PeftModel

    from ballast.backends import transformers as backend

    for name in ("one", "two"):
        safe_lora.transform(*trained, DEFAULTS, tmp_path / name)
    one, two = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two != (trained[0] / "adapter_model.safetensors").read_bytes()
    PeftModel.from_pretrained(backend.load_model(trained[1]), str(tmp_path / "one"))


def test_an_update_of_zero_stays(case, tmp_path):
    path = case[0] / "adapter_model.safetensors"
    save_file({name: value * ("lora_A" in name) for name, value in load_file(path).items()}, path)
    log, b = run(case, tmp_path / "out", layers_by="threshold")
    assert log["layers"][0]["cosine"] == 1 and not log["projected"] and not b.any()


def test_a_model_that_is_its_own_pretrained_one_is_refused(case, tmp_path):
    with pytest.raises(BallastError, match=f"{QUERY} is that of .*no alignment to project onto"):
        safe_lora.transform(case[0], case[1], case[1], DEFAULTS, tmp_path / "out")


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({QUERY + ".weight": torch.zeros(2, 4)}, r"is \(2, 4\), and \(2, 3\) in .*`pretrained` must name"),
        ({"other.weight": torch.zeros(2, 3)}, f"no weight {QUERY}.weight, which the adapter adapts"),
    ],
)
def test_a_pretrained_model_of_another_shape_is_refused(case, tmp_path, weights, said):
    with pytest.raises(BallastError, match=said):
        safe_lora.transform(*case[:2], made(tmp_path / "other", weights), DEFAULTS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_without_lora_matrices_is_refused(case, tmp_path):
    other = made(tmp_path / "ia3", {"base_model.model.ia3_l": torch.ones(2)}, name="adapter_model.safetensors", r=1)
    with pytest.raises(BallastError, match="no LoRA matrices here"):
        safe_lora.transform(other, *case[1:], DEFAULTS, tmp_path / "out")


def test_a_transform_that_is_not_there_is_an_error():
    with pytest.raises(BallastError, match="no transform is called 'safe_lara'; did you mean 'safe-lora'"):
        plugins.load("transforms", "safe_lara")
