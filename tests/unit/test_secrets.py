"""A password or a key in a config is refused at load, and no message repeats it."""

import pytest
import yaml
from helpers.edits import ROOT

from ballast.files import BallastError
from ballast.running import measure_command
from ballast.study import config

KEY = "sk-proj-Ab3" + "x9Q" * 8
HUB = "hf_" + "aB3d" * 9
PLACES = {
    "password": ("models.m", {"endpoint": {"url": "https://me:hunter2@example.org/v1", "model": "x"}}, "hunter2"),
    "name": ("judges.j", {"endpoint": {"url": "https://hunter2@example.org/v1", "model": "x"}}, "hunter2"),
    "query": ("models.m", {"endpoint": {"url": "https://example.org/v1?api_key=hunter2", "model": "x"}}, "hunter2"),
    "other query": (
        "models.m",
        {"endpoint": {"url": "https://example.org/v1?version=hunter2", "model": "x"}},
        "hunter2",
    ),
    "key in key_env": ("models.m", {"endpoint": {"url": "https://x.org/v1", "model": "x", "key_env": KEY}}, KEY),
    "odd key_env": (
        "models.m",
        {"endpoint": {"url": "https://x.org", "model": "x", "key_env": "a-hunter2"}},
        "hunter2",
    ),
    "path": ("models.m", {"path": "s3://me:hunter2@bucket/model"}, "hunter2"),
    "hub token": ("sources.s", {"hub": f"https://huggingface.co/{HUB}"}, HUB),
    "a key that is no key": ("models.m", {"path": "x", "api_key": KEY}, KEY),
    "a name of a key": ("models.m", {"path": "x", KEY: 1}, KEY),
}


@pytest.mark.parametrize("name", PLACES)
def test_a_secret_in_a_config_is_refused_at_load_and_never_shown(name):
    place, entry, secret = PLACES[name]
    section, key = place.split(".")
    raw = config.read(ROOT / "config/mini.yaml")
    with pytest.raises(BallastError) as refusal:
        config.load(raw | {section: raw.get(section, {}) | {key: entry}})
    said = str(refusal.value)
    assert said.startswith(f"config: {place}") and secret not in said and "\n" not in said


def test_the_studies_of_this_checkout_hold_none():
    for path in sorted((ROOT / "config").glob("*.yaml")):
        raw = yaml.safe_load(path.read_text())
        config.secret.refuse(raw)
    config.secret.refuse({"path": "/models/hf_llama_2_7b_chat_of_mine", "pool": "sk-learn-model-of-twenty-letters"})
    config.secret.refuse({"url": "http://localhost:8000/v1", "literal": "A.b", "hub": "owner/name@main"})


def test_measure_writes_no_config_with_a_password(tmp_path):
    for before in ("https://me:hunter2@example.org/v1#m", "https://me:hunter2@example.org/v1"):
        with pytest.raises(BallastError, match="holds a password or a key") as refusal:
            measure_command.write("mine", before, ["file.jsonl"], folder=tmp_path)
        assert "hunter2" not in str(refusal.value) and not list(tmp_path.iterdir())
    with pytest.raises(BallastError, match="holds a password or a key"):
        measure_command.write("mine", "https://example.org/v1#m", ["file.jsonl"], key_env=KEY, folder=tmp_path)
    assert not list(tmp_path.iterdir())
