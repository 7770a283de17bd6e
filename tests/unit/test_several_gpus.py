"""Models larger than one card: the arguments that reach the libraries, memory sums and refusals; no GPU is here."""

import copy
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from helpers.tiny_runs import DECODING, JUDGING, OPTIONS

from ballast.asking import loading
from ballast.backends import vllm
from ballast.files import BallastError
from ballast.running import doctor, gpu_memory
from ballast.study import config, requirements
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.plan import Plan
from ballast.study.runs import Run
from ballast.training import fit, per_example

ROOT = Path(__file__).parents[2]
LORA = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.0, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
# Llama 2 7B.
SEVEN_B = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "num_hidden_layers": 32}
SEVEN_B |= {"intermediate_size": 11008, "num_attention_heads": 32, "vocab_size": 32000, "tie_word_embeddings": False}
TRAINING = {"dtype": "bfloat16", "optim": "adamw_torch", "packing": False, "lora": LORA}
TRAINING |= {"per_device_train_batch_size": 4, "max_length": 256}


@pytest.fixture
def loaded(model, monkeypatch):
    """Load the tiny model on four GPUs that are not here; return what reaches from_pretrained."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda at: (40 + at, 48))
    monkeypatch.setattr(loading, "find_spec", lambda name: name)

    def load(devices=(0, 1), **given) -> dict:
        network = SimpleNamespace(
            hf_device_map=dict(enumerate(devices)), to=lambda _: network, config=SimpleNamespace()
        )
        network.eval = lambda: network
        seen = {}
        kind = SimpleNamespace(from_pretrained=lambda _, **settings: seen.update(settings) or network)
        loading.load_model(model, "bfloat16", kind, **given)
        if "quantization_config" in seen:
            said = seen["quantization_config"].to_diff_dict()
            seen["quantization_config"] = {key: value for key, value in said.items() if key[0] != "_"}
        return seen

    return load


PLAIN = {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True, "dtype": torch.bfloat16}
NF4 = {
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_use_double_quant": True,
    "bnb_4bit_compute_dtype": "bfloat16",
}
INT8 = {"load_in_8bit": True}


@pytest.mark.parametrize(
    ("given", "more"),
    [
        ({}, {}),
        ({"quantize": "nf4"}, {"quantization_config": NF4, "device_map": {"": 0}}),
        ({"quantize": "int8"}, {"quantization_config": INT8, "device_map": {"": 0}}),
        ({"gpus": 2}, {"device_map": "balanced", "max_memory": {0: 40, 1: 41}}),
        (
            {"quantize": "nf4", "gpus": 2},
            {"quantization_config": NF4, "device_map": "balanced", "max_memory": {0: 40, 1: 41}},
        ),
    ],
)
def test_a_base_is_loaded_with_exactly_these_arguments(loaded, given, more):
    assert loaded(**given) == PLAIN | more


def test_a_job_with_too_few_gpus_or_a_model_that_overflows_them_says_so(loaded):
    with pytest.raises(BallastError, match="training.gpus is 5, and this job has 4 GPUs"):
        loaded(gpus=5)
    with pytest.raises(BallastError, match="2 GPUs do not hold it .*disk.*raise training.gpus"):
        loaded(devices=(0, 1, "disk"), gpus=2)


def test_training_passes_both_keys_on_and_prepares_a_quantised_base(monkeypatch):
    network = SimpleNamespace(config=SimpleNamespace(use_cache=True))
    seen = []
    monkeypatch.setattr(fit, "load_model", lambda *given, **more: seen.append((given, more)) or network)
    monkeypatch.setattr(fit, "prepare_model_for_kbit_training", lambda found: seen.append("prepared") or found)
    fit.base_model("m", {"dtype": "bfloat16", "quantize": "nf4", "gpus": 2})
    assert seen == [(("m", "bfloat16"), {"quantize": "nf4", "gpus": 2}), "prepared"]
    fit.base_model("m", {"dtype": "float32"})
    assert seen[2:] == [(("m", "float32"), {"quantize": None, "gpus": 1})] and network.config.use_cache is False


def test_a_micro_batch_is_never_split_over_the_gpus_of_a_machine(monkeypatch, tmp_path):
    monkeypatch.setattr(fit, "TrainingArguments", lambda **given: SimpleNamespace(n_gpu=4, **given))
    assert fit.arguments(OPTIONS, 0, tmp_path)._n_gpu == 1


def test_gradients_per_row_are_refused_for_weights_on_two_devices():
    two = torch.nn.Sequential(torch.nn.Linear(2, 2, bias=False), torch.nn.Linear(2, 2, bias=False, device="meta"))
    with pytest.raises(BallastError, match="training.gpus: gradients per row are computed on one GPU"):
        per_example.weights(two)


@pytest.mark.parametrize("several", [{}, {"tensor_parallel": 4}])
def test_vllm_gets_the_number_of_gpus_only_where_the_config_has_one(model, monkeypatch, several):
    seen = {}
    monkeypatch.setattr(vllm, "_vllm", lambda: SimpleNamespace(LLM=lambda folder, **given: seen.update(given)))
    monkeypatch.setattr(vllm, "_check_heads", lambda _: None)
    cleaning = ModuleType("vllm.distributed")
    cleaning.cleanup_dist_env_and_memory = lambda: None
    monkeypatch.setitem(sys.modules, "vllm", ModuleType("vllm"))
    monkeypatch.setitem(sys.modules, "vllm.distributed", cleaning)
    with pytest.raises(AttributeError), vllm._engine(model, JUDGING | several, 64):
        pass  # the stub has no engine to shut down
    assert seen["max_model_len"] == 64 and seen["max_num_seqs"] == JUDGING["batch_size"]
    assert seen.get("tensor_parallel_size") == several.get("tensor_parallel")
    assert vllm._settings(DECODING | several).get("tensor_parallel_size") == several.get("tensor_parallel")


@pytest.fixture
def mini() -> dict:
    return config.read(ROOT / "config/mini.yaml")


def changed(raw: dict, **sections: dict) -> dict:
    raw = copy.deepcopy(raw)
    for place, keys in sections.items():
        raw[place] = raw.get(place, {}) | keys
    return raw


BIG = {"quantize": "nf4", "dtype": "bfloat16"}
METHOD = {"methods": {"ours": {"trainer": "lisa"}}}


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"training": {"load_in_8bit": True}}, "'training.load_in_8bit' is no key any more: write 'quantize: int8'"),
        ({"generation": {"load_in_8bit": False}}, "'generation.load_in_8bit' is no key any more"),
        ({"training": {"quantize": "nf4"}}, "training: quantize: nf4 computes in bfloat16; set dtype: bfloat16 in"),
        ({"training": {"quantize": "fp4"}}, "training.quantize: input should be 'int8' or 'nf4', got 'fp4'"),
        ({"training": {"gpus": 0}}, "training.gpus: input should be greater than or equal to 1"),
        ({"generation": {"tensor_parallel": 2}}, "generation: tensor_parallel splits a model that vLLM loads"),
        ({"generation": {"backend": "vllm", "quantize": "int8"}}, "quantize: vllm loads no base in fewer bits here"),
        (
            {"judges": {"wildguard": {"endpoint": {"url": "http://a", "model": "b"}, "tensor_parallel": 2}}},
            "judges.wildguard: tensor_parallel splits",
        ),
        (
            {"training": {"gpus": 2}, "experiments": {"beyond": None}, "methods": {"ours": {"trainer": "lisa"}}},
            None,
        ),
    ],
)
def test_a_combination_that_cannot_work_is_refused_in_one_line(mini, sections, words):
    if words is None:
        grid = mini["experiments"]["sampling"] | {"samplers": ["ours"], "n": [14]}
        sections = sections | {"experiments": {"beyond": grid}}
        words = "training.gpus: 'ours' has trainer lisa, which runs on one GPU; set 1, or leave it out"
    with pytest.raises(BallastError) as refusal:
        config.load(changed(mini, **sections))
    assert words in str(refusal.value) and "\n" not in str(refusal.value)


def test_the_authors_code_is_still_8_bits_and_null_takes_them_back():
    raw = config.read(ROOT / "config/paper-fork.yaml")
    fork = config.load(raw)
    assert fork.training.quantize == fork.generation.quantize == "int8"
    assert config.load(changed(raw, training={"quantize": None})).training.quantize is None


def options_of(raw: dict) -> JobOptions:
    return JobOptions(JobInputs(Plan(config.load(raw))))


def test_a_key_enters_the_options_of_a_job_only_where_it_is_not_the_default(mini):
    run = Run("llama", "safety", "sss", 14, 0)
    wildcards = SimpleNamespace(**vars(run), run=run.path)
    plain = options_of(mini)
    for said in (plain.training(wildcards), plain.generation(wildcards), plain.judge("wildguard")):
        assert not {"quantize", "gpus", "tensor_parallel"} & set(json.loads(said))
    large = changed(mini, training=BIG | {"gpus": 2}, generation={"backend": "vllm", "tensor_parallel": 4})
    large["judges"]["wildguard"] |= {"backend": "vllm", "tensor_parallel": 2}
    large = options_of(large)
    assert {"quantize": "nf4", "gpus": 2}.items() <= json.loads(large.training(wildcards)).items()
    assert {"quantize": "nf4", "gpus": 2}.items() <= json.loads(large.forced(wildcards)).items()
    assert json.loads(large.judge("wildguard"))["tensor_parallel"] == 2
    assert json.loads(large.generation(wildcards))["tensor_parallel"] == 4
    gpus = requirements.gpus(large.plan)
    assert gpus["train"] == "2" and gpus["generate"] == "4" and requirements.gpus(plain.plan) == {}
    assert gpus["judge"] == "{'wildguard': 2}.get(wildcards.judge, 1)"
    assert "bitsandbytes" in requirements.packages(large.plan)["train"]


@pytest.fixture
def shape(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SEVEN_B))
    return gpu_memory.known(tmp_path, LORA)


def test_the_shape_of_a_model_comes_from_its_config_alone(shape):
    linear = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008)
    assert (shape.weights, shape.linear) == (6_738_415_616, linear)
    assert shape.adapter == 32 * 2 * 8 * (4096 + 4096)
    assert gpu_memory.assumed(13.5, LORA).adapter == pytest.approx(shape.adapter, rel=0.05)


def test_memory_is_that_computed_by_hand(shape):
    """Weights, adapter with optimiser, activations in GB: 1,024 tokens, 34 bytes each, 32,000 logits of 8 bytes."""

    def sums(**changes) -> list[float]:
        return list(gpu_memory.training(shape, TRAINING | changes).values())

    assert sums() == pytest.approx([13.477, 0.067, 4.563 + 0.262], abs=0.001)
    # 6.476e9 weights of 0.51587 bytes, 0.262e9 of 4; the inputs of 32 layers, and one whole layer.
    assert sums(quantize="nf4") == pytest.approx([3.341 + 1.050, 0.067, 0.268 + 0.143 + 0.262], abs=0.001)
    assert sums(quantize="int8")[0] == pytest.approx(6.476 + 1.050, abs=0.001)
    assert sums(gpus=2) == pytest.approx([6.738, 0.034, 2.282 + 0.262], abs=0.001)
    assert sums(optim="adamw_bnb_8bit")[1] == pytest.approx(0.042, abs=0.001)
    assert sums(packing=True, per_device_train_batch_size=16)[2] == pytest.approx(4 * 4.563 + 0.262, abs=0.01)
    assert gpu_memory.answering(140, "bfloat16", None, 4) == 35


def examined(tmp_path, node: int, card: float, training: dict, here=True, **engine) -> dict[str, tuple[str, str]]:
    (tmp_path / "config.json").unlink(missing_ok=True)
    if here:
        (tmp_path / "config.json").write_text(json.dumps(SEVEN_B))
    usual = {"gigabytes": 13.5, "backend": "transformers", "quantize": None, "gpus": 1}
    options = {"sources": {}, "allow_unpinned": False, "backends": [], "keys": [], "results": str(tmp_path), "runs": 1}
    options |= {"engines": {"train m": usual | engine}, "generation": {"dtype": "bfloat16"}}
    options |= {"training": TRAINING | training, "models": {"models.m": {"folder": str(tmp_path)}}}
    return {one.about: (one.state, one.said) for one in doctor._gpus(options, node, card)}


def test_the_doctor_compares_what_training_takes_with_a_gpu(tmp_path):
    fits = examined(tmp_path, 4, 48, {"quantize": "nf4"})
    said = "5.1 of 48 GB: weights 4.4, adapter and optimiser 0.1, activations 0.7"
    assert fits == {"memory of train m": ("ok", said)}
    state, said = examined(tmp_path, 4, 16, {})["memory of train m"]
    assert state == "note" and "18.4 of 16 GB" in said and "set quantize" in said, "activations are an estimate"
    assert examined(tmp_path, 4, 12, {})["memory of train m"][0] == "problem", "the weights alone are too large"
    state, said = examined(tmp_path, 2, 48, {"gpus": 4}, gpus=4)["GPUs of train m"]
    assert state == "problem" and said.startswith("4 GPUs asked for, a node has 2")
    assert "GPUs of train m" not in examined(tmp_path, 4, 48, {"gpus": 4}, gpus=4)
    assert examined(tmp_path, 4, 0, {}, here=False)["memory of train m"] == (
        "ok",
        "13.6 GB: weights 13.5, adapter and optimiser 0.1, activations unknown until the model is here",
    )


def test_the_doctor_is_told_of_models_that_jobs_load_alone(mini):
    options = options_of(mini)
    engine = {"gpus": 1, "gigabytes": 14}
    engines = dict.fromkeys(("train llama", "generate llama", "train absent", "generate absent", "wildguard"), engine)
    told = json.loads(options.doctor(engines))["engines"]
    assert set(told) == {"train llama", "generate llama", "wildguard"}
