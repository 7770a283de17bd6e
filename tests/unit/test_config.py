"""The typed config: what it accepts, how it refuses, and that its documents agree with it."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ballast.files import BallastError
from ballast.study import config

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mini() -> dict:
    return config.read(ROOT / "config/mini.yaml")


def change(raw: dict, place: str, value) -> dict:
    raw = copy.deepcopy(raw)
    *above, last = place.split(".")
    section = raw
    for key in above:
        section = section[key]
    section[last] = value
    return raw


@pytest.mark.parametrize(
    "name",
    sorted(
        path.name for path in (ROOT / "config").glob("*.yaml") if path.name not in ("sources.yaml", "standard.yaml")
    ),
)
def test_every_config_that_ships_is_valid(name):
    assert config.load(config.read(ROOT / "config" / name)).study


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("sampelrs", 1, ["'sampelrs' is not a key", "did you mean 'sampling'"]),
        ("experiments.sampling.sampelrs", ["sss"], ["'experiments.sampling.sampelrs'", "did you mean 'samplers'"]),
        ("training.lora.lora_alhpa", 16, ["'training.lora.lora_alhpa'", "did you mean 'lora_alpha'"]),
        ("pools.safety.pth", "x", ["'pools.safety.pth'", "did you mean 'path'"]),
        ("training.batch_size", "many", ["training.batch_size", "'many'"]),
        ("training.batch_size", 1.5, ["training.batch_size", "1.5"]),
        ("experiments.sampling.n", [0], ["experiments.sampling.n.0", "greater than or equal to 1"]),
        ("experiments.sampling.samplers", ["sss", "ssb"], ["no sampler is called 'ssb'", "did you mean 'sss-b'"]),
        ("experiments.sampling.models", ["lama"], ["'lama' is not defined", "did you mean 'llama'"]),
        ("experiments.rewriting.pools", ["refusal"], ["'refusal' is not defined", "did you mean 'refusals'"]),
        ("study", "worlds", ["study: results/worlds/", "another name"]),
        ("metrics.harm.judge", "harm", ["metrics.harm.judge", "did you mean 'harm-rm'"]),
        ("labels.behaviour", "wildgard", ["labels.behaviour", "did you mean 'wildguard'"]),
        ("labels.category", "cosim", ["labels.category", "'cosim'"]),
        (
            "pools.safety",
            {"world": "safety.json", "path": "x"},
            ["pools.safety", "exactly one of 'world', 'path' and 'source'"],
        ),
        ("models.llama.published", "llama-2-7b", ["models.llama", "a model of the mini world is none of the paper's"]),
        (
            "models.llama",
            {"path": "x", "published": "llama-2"},
            ["models.llama.published", "'llama-2-7b'", "'llama-2'"],
        ),
        ("training.per_device_train_batch_size", 5, ["must divide batch_size"]),
        ("world", {"options": {"pool_row": 1}}, ["'pool_row'", "did you mean 'pool_rows'"]),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key_and_the_nearest_word(mini, place, value, words):
    with pytest.raises(BallastError) as refusal:
        config.load(change(mini, place, value))
    message = str(refusal.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_two_models_cannot_both_be_one_of_the_papers(mini):
    mini["models"] |= {name: {"path": name, "published": "mistral-7b"} for name in ("first", "second")}
    with pytest.raises(BallastError, match="models.second.published: models.first is 'mistral-7b' too"):
        config.load(mini)


def test_a_missing_key_is_named(mini):
    del mini["models"]
    with pytest.raises(BallastError, match="config: 'models' is required"):
        config.load(mini)


def test_a_config_extends_another(tmp_path):
    (tmp_path / "below.yaml").write_text("study: a\ntraining: {batch_size: 8, dtype: float32}\n")
    (tmp_path / "above.yaml").write_text("extends: below.yaml\nstudy: b\ntraining: {batch_size: 16}\n")
    assert config.read(tmp_path / "above.yaml") == {"study": "b", "training": {"batch_size": 16, "dtype": "float32"}}


def test_torn_yaml_names_file_and_line(tmp_path):
    (tmp_path / "torn.yaml").write_text("study: a\ntraining: {batch_size: 8\n")
    with pytest.raises(BallastError, match=r"torn.yaml: line 3: not valid YAML"):
        config.read(tmp_path / "torn.yaml")


def test_key_order_and_comments_change_no_option(mini):
    shuffled = yaml.safe_load(yaml.safe_dump(mini, sort_keys=True))
    assert config.load(shuffled) == config.load(mini)


def test_documents_agree_with_the_types(tmp_path):
    before = {name: (ROOT / "config" / name).read_text() for name in ("README.md", "schema.json")}
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'scripts')!r}); import config_docs, pathlib;"
        f"out = pathlib.Path({str(tmp_path)!r});"
        "(out / 'README.md').write_text(config_docs.reference());"
        "(out / 'schema.json').write_text(config_docs.schema())"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for name, text in before.items():
        assert (tmp_path / name).read_text() == text, f"config/{name} is stale; run python scripts/config_docs.py"


def test_every_default_in_the_reference_is_the_default_of_the_type():
    reference = (ROOT / "config/README.md").read_text()
    assert f"| `learning_rate` | number | `{config.Training().learning_rate}` |" in reference
    assert f"| `max_length` | whole number | `{config.Training().max_length}` |" in reference
