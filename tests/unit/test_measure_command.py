"""`ballast measure`: the config that it writes, and the exit code of each verdict."""

import json
from pathlib import Path

import pytest
import yaml

from ballast import cli
from ballast.files import BallastError
from ballast.running import measure_command
from ballast.study import config, sources
from ballast.study.plan import Plan


@pytest.fixture
def adapter(tmp_path, model) -> Path:
    """The folder of an adapter whose base is a name that is no folder here."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "org/base"}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    return folder


def written(folder: Path, *after: str, before: str, **given) -> dict:
    path = measure_command.write("mine", before, list(after), folder=folder / "config", suite="rules", **given)
    study = config.load(config.read(path))
    sources.check(study)
    assert not study.pools and study.base is None and not Plan(study).runs
    assert set(Plan(study).measured) == {f"{name}/as-is" for name in study.measure.models}
    return yaml.safe_load(path.read_text())


def test_a_folder_an_adapter_a_server_and_a_file(tmp_path, model, adapter, capsys):
    (tmp_path / "theirs.jsonl").write_text('{"prompt": "p", "response": "r"}')
    given = ["http://localhost:8000/v1#gpt", str(tmp_path / "theirs.jsonl"), str(adapter)]
    study = written(tmp_path, *given, before=model, targets="harm=20,over_refusal=15", key_env="MY_KEY")
    assert study["targets"] == {"harm": 20, "over_refusal": 15} and study["measure"]["before"] == "before"
    one, two, three = (study["models"][f"after-{number}"] for number in (1, 2, 3))
    assert one["endpoint"] == {"url": "http://localhost:8000/v1", "model": "gpt", "key_env": "MY_KEY"}
    assert two["responses"].endswith("theirs.jsonl")
    assert three["path"] == model and three["adapter"] == str(adapter) and three["prompt"] == "chat"
    assert f"its base 'org/base' is no folder here; it is laid over {model}" in capsys.readouterr().err


def test_an_adapter_whose_base_is_here_lies_over_that(tmp_path, model, adapter):
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": model}))
    (tmp_path / "theirs.jsonl").write_text('{"prompt": "p", "response": "r"}')
    study = written(tmp_path, str(adapter), before=str(tmp_path / "theirs.jsonl"))
    assert study["models"]["after"]["path"] == model


@pytest.mark.parametrize(
    ("after", "given", "said"),
    [
        ("no-such", {}, "no-such: no folder of a model or adapter, no file, no id of the hub"),
        ("http://localhost/v1", {}, "add the model's name there, as in http://localhost/v1#gpt-4o"),
        ("model", {"targets": "harm:20"}, "--targets harm:20: give limits such as harm=20,over_refusal=20"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, model, after, given, said):
    with pytest.raises(BallastError) as error:
        written(tmp_path, model if after == "model" else after, before=model, **given)
    assert said in str(error.value) and "\n" not in str(error.value) and not list(tmp_path.rglob("*.yaml"))


def test_a_config_is_never_overwritten_with_another_question(tmp_path, model):
    written(tmp_path, model, before=model)
    written(tmp_path, model, before=model)
    with pytest.raises(BallastError, match="is there already, and measures something else"):
        written(tmp_path, model, model, before=model)


@pytest.mark.parametrize(("verdict", "code"), [("within", 0), ("beyond", 1), ("not decidable", 2)])
def test_the_exit_code_is_the_verdict(tmp_path, monkeypatch, verdict, code, capsys):
    folder = tmp_path / "results/mine"
    folder.mkdir(parents=True)
    (folder / "measure.json").write_text(json.dumps({"verdict": verdict, "said": f"{verdict}: why"}))
    (folder / "measure.md").write_text("# Page\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure_command.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 0}))
    assert measure_command.run([Path("config/mine.yaml")], "mine", []) == code
    assert capsys.readouterr().out.strip().endswith(f"{verdict}: why")


def test_a_run_that_fails_is_3_and_no_verdict(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measure_command.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 1}))
    assert measure_command.run([Path("config/mine.yaml")], "mine", []) == 3
    assert cli.main(["measure", "--before", "no-such", "--after", "no-such"]) == 3
    assert capsys.readouterr().err.startswith("ballast: no-such: ")
