"""Code identity: edits count, remarks do not."""

import os
import runpy
import sys

import pytest

from ballast import identity, reach
from ballast.model_files import model_files
from ballast.running import preload
from ballast.running.threads import THREADS
from ballast.study import sources


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the package's shape: a stage, a plug-in, and a module that both import."""
    home = tmp_path / "ballast"
    (home / "samplers").mkdir(parents=True)
    (home / "__init__.py").write_text("")
    (home / "samplers/__init__.py").write_text("")
    (home / "running").mkdir()
    (home / "running/__init__.py").write_text("")
    (home / "running/threads.py").write_text('THREADS = "1"\n')
    (home / "shared.py").write_text('"""Shared."""\nVALUE = 1\n')
    (home / "lonely.py").write_text("VALUE = 1\n")
    (home / "samplers/one.py").write_text('NEEDS = ("behaviour",)\n\n\ndef select():\n    from ballast import shared\n')
    (home / "samplers/two.py").write_text("NEEDS = ()\n")
    (tmp_path / "sample.py").write_text("import ballast.shared\n\nprint(ballast.shared.VALUE)\n")
    monkeypatch.setattr(identity, "SCRIPTS", tmp_path)
    monkeypatch.setattr(identity, "HOME", home)
    return tmp_path


def digest(*plugins):
    return identity.code_identity("sample", *plugins)


@pytest.mark.parametrize(
    ("file", "text", "changes"),
    [
        ("ballast/shared.py", '"""Other words."""\n# a remark\nVALUE   =   1\n', False),
        ("ballast/shared.py", "VALUE = 2\n", True),
        ("ballast/running/threads.py", 'THREADS = "2"\n', True),
        ("ballast/lonely.py", "VALUE = 2\n", False),
        ("ballast/samplers/two.py", "NEEDS = (1,)\n", False),
        ("ballast/samplers/one.py", "NEEDS = ()\n", True),
        ("sample.py", "import ballast.shared\n\nprint()\n", True),
    ],
)
def test_an_edit_of_what_is_reached_changes_the_identity(tree, file, text, changes):
    before = digest("samplers/one")
    (tree / file).write_text(text)
    assert (digest("samplers/one") != before) is changes


def test_a_module_that_only_a_plugin_imports_counts(tree):
    (tree / "sample.py").write_text("print()\n")
    (tree / "ballast/samplers/one.py").write_text("def select():\n    from ballast.shared import VALUE as x\n    x\n")
    with_plugin, without = digest("samplers/one"), digest()
    (tree / "ballast/shared.py").write_text("VALUE = 2\n")
    assert digest("samplers/one") != with_plugin and digest() == without


@pytest.mark.parametrize(
    "line",
    [
        "from ..shared import VALUE as x",
        "from .. import shared as x",
        "from .two import NEEDS as x",
        "from . import two as x",
        "from ..shared import *; x",
        "from importlib import import_module as x; x('ballast.shared')",
    ],
)
def test_a_relative_import_of_a_plugin_counts(tree, line):
    (tree / "sample.py").write_text("")
    (tree / "ballast/samplers/one.py").write_text(f"def select():\n    {line}\n    print(x)\n")
    before = digest("samplers/one")
    (tree / ("ballast/shared.py" if "shared" in line else "ballast/samplers/two.py")).write_text("VALUE = 3\n")
    assert digest("samplers/one") != before


def test_a_constant_is_read_without_importing(tree):
    assert identity.constant("samplers/one", "NEEDS") == ("behaviour",)


@pytest.mark.parametrize(
    "name",
    [
        "chat_template.jinja",
        "tokenizer.model",
        "merges.txt",
        "qwen.tiktoken",
        "sub/a.json",
        "1_Router/query_0/config.json",
        "bpe.codes",
    ],
)
def test_an_edited_file_of_a_model_is_another_model_and_an_input_of_its_jobs(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    for file in ("config.json", "model.safetensors", "README.md", "checkpoint-9", name):
        (tmp_path / file).write_text('"before"')
    before = identity.model_identity(tmp_path)
    (tmp_path / "README.md").write_text("after")
    assert identity.model_identity(tmp_path) == before
    (tmp_path / name).write_text('"after"')
    assert identity.model_identity(tmp_path) != before
    inputs = {str(tmp_path / file) for file in ("config.json", "model.safetensors", name)}
    assert set(sources.model_files(str(tmp_path))) == inputs
    assert set(sources.local_files(tmp_path)) == {"config.json", "model.safetensors", name}


def test_a_file_of_a_model_under_another_name_makes_another_model(tmp_path):
    (tmp_path / "chat_template.jinja").write_text("words")
    before = identity.model_identity(tmp_path)
    (tmp_path / "chat_template.jinja").rename(tmp_path / "other.jinja")
    assert identity.model_identity(tmp_path) != before


def test_answers_depend_on_the_model_s_files_and_the_backend_s_options(tmp_path):
    pytest.importorskip("torch", reason="an environment for picking has no backend")
    (tmp_path / "config.json").write_text("{}")
    options = {"dtype": "float32", "batch_size": 4, "max_length": 64}
    before = identity.backend_identity("transformers", str(tmp_path), options)
    assert identity.backend_identity("transformers", str(tmp_path), options) == before
    assert identity.backend_identity("transformers", str(tmp_path), options | {"dtype": "bfloat16"}) != before
    (tmp_path / "config.json").write_text("{ }")
    assert identity.backend_identity("transformers", str(tmp_path), options) != before


def test_files_of_a_model_are_found_through_links_and_a_circle_ends(tmp_path):
    for folder in ("elsewhere", "model/.cache", "model/onnx", "model/checkpoint-9"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "config.json").write_text("{}")
    (tmp_path / "model/1_Pooling").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "model/again").symlink_to(tmp_path / "model")
    assert model_files(tmp_path / "model") == [tmp_path / "model/1_Pooling/config.json"]


def test_a_fetched_model_is_known_by_its_manifest_alone(tmp_path):
    (tmp_path / "source.json").write_text("{}")
    before = identity.model_identity(tmp_path)
    (tmp_path / "tokenizer.model").write_text("linked")
    assert identity.model_identity(tmp_path) == before


@pytest.mark.parametrize("trainer", ["sft", "dualselect", "safegrad"])
def test_an_edit_of_a_backend_trains_nothing_again(monkeypatch, trainer):
    before = identity.code_identity("train", f"trainers/{trainer}")
    parsed = reach.module

    def edited(place: str, content: bytes, *others):
        return parsed(place, content + b"\nprint()\n" * (file in place), *others)

    monkeypatch.setattr(reach, "module", edited)
    monkeypatch.setattr(identity, "KNOWN", {})
    file = "/backends/"
    assert identity.code_identity("train", f"trainers/{trainer}") == before
    identity.KNOWN.clear()
    file = "/trainers/"
    assert identity.code_identity("train", f"trainers/{trainer}") != before


def test_every_job_gets_the_threads_that_its_identity_covers(monkeypatch):
    monkeypatch.setattr(preload, "run", lambda *_: 0)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in ("OMP_NUM_THREADS", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    assert runpy.run_path(str(identity.SCRIPTS / "stage.py"))["main"]("train") == 0
    assert os.environ["OMP_NUM_THREADS"] == THREADS == "1"
