"""The typed config: what it accepts, how it refuses, and that its documents agree with it."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config

from ballast.cli import check_name
from ballast.files import BallastError
from ballast.study import config, sources

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
        path.name
        for path in (ROOT / "config").glob("*.yaml")
        if path.name not in ("sources.yaml", "standard.yaml", "cpu.yaml", "local.yaml", "float32.yaml")
    ),
)
def test_every_config_that_ships_is_valid(name):
    assert config.load(config.read(ROOT / "config" / name)).study


def test_the_authors_code_is_the_papers_grid_with_alpacas_template_alone():
    paper, fork = (config.load(config.read(ROOT / f"config/{name}.yaml")) for name in ("paper", "paper-fork"))
    assert fork.experiments == paper.experiments and fork.training.validation_rows == 2000
    assert {(model.prompt, model.template) for model in fork.models.values()} == {("alpaca", "alpaca-template")}
    chat = {name for name, model in paper.models.items() if model.prompt == "chat"}
    assert chat == {"llama-2-7b-chat", "llama-3-8b-instruct", "qwen2.5-7b-instruct"}
    unchanged = [name for name in paper.models if name not in chat]
    assert [fork.models[name] for name in unchanged] == [paper.models[name] for name in unchanged]


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
        ("study", 2024, ["study: wanted text; put quotes around it", "got 2024"]),
        ("models.llama.label", False, ["models.llama.label: wanted text", "YAML reads yes, no", "got False"]),
        ("experiments.sampling.n", 50, ["experiments.sampling.n: wanted a list, such as [a, b], got 50"]),
        ("experiments.sampling.trials", True, ["experiments.sampling.trials", "got True"]),
        ("pools", ["a"], ["pools: wanted keys with values below it, got ['a']"]),
        ("models", {2024: {"world": "llama-aligned"}}, ["models.2024: wanted text; put quotes around it"]),
        ("training", 3, ["training: wanted keys with values below it, got 3"]),
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


HOSTILE = [
    "../up",
    "a..b",
    "a/b",
    "it's",
    'a"b',
    "$(touch x)",
    "`id`",
    "a\nb",
    "a\n",
    "{n}",
    "-n",
    "--out",
    ".a",
    "a b",
    "A",
    "ü",
    "",
]


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 101])
@pytest.mark.parametrize("place", ["pools", "models", "judges", "benchmarks", "methods", "sources", "other_metrics"])
def test_a_name_that_is_no_folder_and_no_word_of_a_command_is_refused(mini, place, name):
    with pytest.raises(BallastError) as refusal:
        config.load(change(mini, place, mini.get(place, {}) | {name: {}}))
    said = str(refusal.value)
    assert "\n" not in said and place in said and ("names become folders" in said or "100 characters" in said)


@pytest.mark.parametrize("name", [*HOSTILE, "a" * 101])
def test_a_study_and_an_experiment_take_no_such_name(mini, name):
    for place, value in (("study", name), ("suite", name), ("experiments.sampling.samplers", [name])):
        with pytest.raises(BallastError, match="names become folders|100 characters"):
            config.load(change(mini, place, value))
    with pytest.raises(BallastError, match="no study's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "7b", "llama-2-7b", "qwen2.5-7b", "over_refusal", "a.b.c_d--e"])
def test_an_ordinary_name_is_taken(mini, name):
    assert config.load(change(mini, "study", name)).study == name
    check_name(name)


@pytest.mark.parametrize(("path", "words"), [("a{n}.json", "braces around a word"), ("a\nb.json", "a line break")])
@pytest.mark.parametrize(
    ("place", "section"),
    [
        ("base.path", "base"),
        ("models.x.path", "models"),
        ("models.x.adapter", "models"),
        ("models.x.responses", "models"),
    ],
)
def test_a_path_that_snakemake_cannot_read_is_refused(mini, place, section, path, words):
    *_, name, key = place.split(".")
    given = {key: path} if key != "adapter" else {"world": "llama-aligned", key: path}
    value = given if section == "base" else mini["models"] | {name: given}
    with pytest.raises(BallastError, match=f"config: {place}: .*{words}"):
        sources.check(config.load(mini | {section: value}))


def test_two_models_cannot_both_be_one_of_the_papers(mini):
    mini["models"] |= {name: {"path": name, "published": "mistral-7b"} for name in ("first", "second")}
    with pytest.raises(BallastError, match="models.second.published: models.first is 'mistral-7b' too"):
        config.load(mini)


def swapping(mini: dict, of: str, pools=("safety", "other"), samplers=("t1",)) -> dict:
    grid = {"models": ["llama"], "pools": list(pools), "samplers": list(samplers), "n": [7]}
    raw = change(mini, "pools.other", {"path": "other.json", "requests_of": of})
    return change(raw, "experiments.swapping", grid) | {"methods": {"adaptive": {"trainer": "adaptive"}}}


def test_a_pool_may_have_the_requests_of_another_one(mini):
    assert config.load(swapping(mini, "safety")).pools["other"].requests_of == "safety"


@pytest.mark.parametrize(
    ("of", "changes", "words"),
    [
        ("safty", {}, "pools.other.requests_of: 'safty' is not defined; did you mean 'safety'"),
        ("other", {}, "pools.other.requests_of: 'other' must be another pool"),
        ("safe", {}, "experiments.swapping.pools: give two pools, the second with requests_of: the first"),
        ("safety", {"pools": ["safety"]}, "experiments.swapping.pools: give two pools"),
        ("safety", {"pools": ["other", "safety"]}, "experiments.swapping.pools: give two pools"),
        ("safety", {"samplers": ["t1", "adaptive"]}, "'adaptive' picks from the whole pool, and pools.other takes"),
    ],
)
def test_pools_that_do_not_fit_together_are_told(mini, of, changes, words):
    with pytest.raises(BallastError) as error:
        config.load(swapping(mini, of, **changes))
    assert words in str(error.value)


def test_rounds_before_the_last_epoch_need_a_second_one(mini):
    def load(epochs: int, **options):
        raw = change(mini, "experiments.behaviour.samplers", ["t1", "adaptive"])
        raw = change(raw, "training.num_train_epochs", epochs)
        return config.load(raw | {"methods": {"adaptive": {"trainer": "adaptive", "options": options}}})

    with pytest.raises(BallastError, match="experiments.behaviour: 'adaptive' has rounds 4, .*num_train_epochs to 2"):
        load(1)
    assert load(2) and load(1, rounds=1)


def test_a_missing_key_is_named(mini):
    del mini["models"]
    with pytest.raises(BallastError, match="config: 'models' is required"):
        config.load(mini)


def test_a_config_extends_another(tmp_path):
    (tmp_path / "below.yaml").write_text("study: a\ntraining: {batch_size: 8, dtype: float32}\n")
    (tmp_path / "above.yaml").write_text("extends: below.yaml\nstudy: b\ntraining: {batch_size: 16}\n")
    assert config.read(tmp_path / "above.yaml") == {"study": "b", "training": {"batch_size": 16, "dtype": "float32"}}


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files into the working folder: name -> text."""
    monkeypatch.chdir(tmp_path)

    def written(files: dict[str, str]) -> None:
        for name, text in files.items():
            Path(name).write_text(text, encoding="latin-1")

    return written


TWICE = "study: a\ntraining:\n  lora: {r: 8}\n  lora: {r: 16}\n"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a.yaml": "study: a\nseed: 1\nstudy: b\n"}, "a.yaml: line 3: 'study' is there already, in line 1; keep one"),
        ({"a.yaml": TWICE}, "a.yaml: line 4: 'lora' is there already, in line 3"),
        ({"a.yaml": "extends: b.yaml\n", "b.yaml": TWICE}, "b.yaml: line 4: 'lora' is there already, in line 3"),
        ({"a.yaml": '{"study": "a", "study": "b"}'}, "a.yaml: line 1: 'study' is there already, in line 1"),
        ({"a.yaml": "extends: a.yaml\n"}, "a.yaml: extends: a.yaml -> a.yaml is a circle"),
        (
            {"a.yaml": "extends: b.yaml\n", "b.yaml": "extends: ./c.yaml\n", "c.yaml": "extends: a.yaml\n"},
            "c.yaml: extends: a.yaml -> b.yaml -> c.yaml -> a.yaml is a circle; remove one 'extends'",
        ),
        ({"a.yaml": "extends: [b.yaml, c.yaml]\n"}, "a.yaml: extends: give the name of one file, not ['b.yaml', 'c"),
        ({"a.yaml": "extends: ''\n"}, "a.yaml: extends: give the name of one file, not ''"),
        ({"a.yaml": "extends: b.yaml\n"}, "a.yaml: extends: b.yaml: no such file"),
        ({"a.yaml": "extends: .\n"}, "a.yaml: extends: .: no such file"),
        ({"a.yaml": "- study\n"}, "a.yaml: a config is a mapping of keys to values; here is ['study']"),
        ({"a.yaml": ""}, "a.yaml: a config is a mapping of keys to values; here is nothing"),
        ({"a.yaml": "study: a\n\tseed: 1\n"}, "a.yaml: line 2: not valid YAML (found character '\\t'"),
        ({"a.yaml": "study: a\n---\nstudy: b\n"}, "a.yaml: line 2: not valid YAML"),
        ({"a.yaml": "study: !!python/none x\n"}, "a.yaml: line 1: not valid YAML"),
        ({"a.yaml": "study: caf\xe9\n"}, "a.yaml: line 1: not UTF-8 at byte 10; save the file as UTF-8"),
        ({"a.yaml": f"seed: {'9' * 5000}\n"}, "a.yaml: a whole number of too many digits; correct it"),
        ({"a.yaml": "judges: {x: null}\n"}, "a.yaml: judges.x: null removes nothing"),
    ],
)
def test_an_odd_file_is_one_line(write, files, said):
    write(files)
    for read in (config.read, lambda path: config.given([Path(path).absolute()], {})):
        with pytest.raises(BallastError) as refusal:
            read("a.yaml")
        assert str(refusal.value).startswith(said) and "\n" not in str(refusal.value)


def test_a_key_that_overrides_a_merged_one_stands_once(write):
    write({"a.yaml": "x: &x {r: 1, s: 2}\nz: &z {t: 4}\ny: {<<: *x, <<: *z, r: 3}\nday: 2024-01-01\n"})
    read = config.read("a.yaml")
    assert read["y"] == {"r": 3, "s": 2, "t": 4} and read["day"] == "2024-01-01"


def test_files_of_one_command_lie_over_each_other_and_its_words_over_all(write):
    write({"below.yaml": "study: a\nseed: 1\ntargets: {harm: 1}\n", "one.yaml": "extends: below.yaml\nseed: 2\n"})
    write({"two.yaml": "extends: below.yaml\ntargets: {asr: 3}\n", "three.yaml": "extends: one.yaml\n"})
    given = config.given([Path("one.yaml").absolute(), Path("two.yaml").absolute()], {"study": "b"})
    assert given == {"study": "b", "seed": 2, "targets": {"harm": 1, "asr": 3}}, "the common parent lies below both"
    with pytest.raises(BallastError, match="one.yaml extends below.yaml and three.yaml extends one.yaml: give one"):
        config.given(["one.yaml", "three.yaml"], {})


def test_what_snakemake_reads_as_text_has_its_type_again(write):
    write({"a.yaml": "study: a\nexperiments: {transfer: {trials: 3}}\n"})
    said = "experiments={sampling: {n: [14, 42], trials: 3}, transfer: null, other: {of: 1_0e, b: yes, by: ''}}"
    words = parse_config([said, "redact=false", "seed=3", f"huge=[{'9' * 5000}]"])
    assert words["experiments"]["sampling"]["n"] == ["14", "42"], "Snakemake keeps the types of nested values now"
    assert config.given(["a.yaml"], words) == {
        "study": "a",
        "experiments": {
            "transfer": None,
            "sampling": {"n": [14, 42], "trials": 3},
            "other": {"of": "1_0e", "b": True, "by": ""},
        },
        "redact": False,
        "seed": 3,
        "huge": ["9" * 5000],
    }


def test_null_removes_what_a_config_inherits(write, mini):
    mini_yaml = ROOT / "config/mini.yaml"
    write({"above.yaml": f"extends: {mini_yaml}\npools: {{safe: null}}\nexperiments: {{rewriting: null}}\n"})
    assert set(config.load(config.read("above.yaml")).pools) == {"safety", "refusals"}
    for place, user in (
        ("judges.harm-rm", "metrics.harm.judge: 'harm-rm' is not defined"),
        ("judges.wildguard", "metrics.over_refusal.judge: 'wildguard' is not defined"),
        ("benchmarks.xstest", "metrics.over_refusal.benchmark: 'xstest' is not defined"),
        ("pools.safe", "experiments.rewriting.pools: 'safe' is not defined"),
        ("models.mistral", "experiments.transfer.models: 'mistral' is not defined"),
    ):
        with pytest.raises(BallastError, match=user):
            config.load(change(mini, place, None))


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
