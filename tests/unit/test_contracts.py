"""The contract of each kind of plug-in: a mistake in a new file is one clear line."""

import pytest

from ballast import identity, plugins
from ballast.files import BallastError
from ballast.study import contracts
from ballast.study.job_inputs import JobInputs

SAMPLER = 'NEEDS = ("embedding",)\nSEEDED = False\n\n\ndef select(pool, features, n, seed, options): ...\n'
JUDGE = 'CANARIES = {}\nUNIT = "%"\nDIRECTION = "lower"\n\n\ndef judge(pairs, options): ...\n\n\n'


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of a package folder that has no other plug-in."""
    monkeypatch.setattr(plugins, "HOME", tmp_path)
    monkeypatch.setattr(identity, "HOME", tmp_path)

    def written(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    identity._outline.cache_clear()
    yield written
    identity._outline.cache_clear()


def test_every_plug_in_of_ballast_keeps_its_contract():
    contracts.check()


def test_the_features_are_those_that_a_job_can_be_given():
    known = JobInputs.__new__(JobInputs)
    known.results = "results/mini"
    assert all(known.features([word], "pool", "model") for word in contracts.FEATURES)
    with pytest.raises(KeyError):
        known.features(["another"], "pool")


def test_a_file_that_keeps_the_contract_is_enough(write):
    write("samplers/k_means.py", SAMPLER)
    contracts.check()


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("samplers/k_means.py", "NEEDS = (", "line 1: '(' was never closed"),
        ("samplers/k_means.py", SAMPLER.replace("select(", "pick("), "it has no select"),
        ("samplers/k_means.py", SAMPLER.replace("SEEDED = False\n", ""), "it has no SEEDED"),
        ("samplers/k_means.py", SAMPLER.replace("False", '"no"'), "SEEDED must be True or False, not 'no'"),
        ("samplers/k_means.py", SAMPLER.replace("False", "bool(0)"), "SEEDED must be written out"),
        ("samplers/k_means.py", SAMPLER.replace('("embedding",)', '"embedding"'), "NEEDS must be a tuple"),
        ("samplers/k_means.py", SAMPLER.replace("embedding", "embeding"), "'embeding'; did you mean 'embedding'?"),
        ("judges/strict.py", "def judge(pairs, options): ...\n", "it has no CANARIES"),
        ("judges/strict.py", "CANARIES = {}\n", "it has no judge"),
        ("judges/strict.py", JUDGE.replace('UNIT = "%"\n', ""), "it has no UNIT"),
        ("judges/strict.py", JUDGE.replace('"%"', "100"), 'UNIT must be "%" or a name such as "score", not 100'),
        ("judges/strict.py", JUDGE.replace('DIRECTION = "lower"\n', ""), "it has no DIRECTION"),
        (
            "judges/strict.py",
            JUDGE.replace("lower", "less"),
            'DIRECTION must be "lower", "higher" or None, not \'less\'',
        ),
        ("judges/strict.py", JUDGE + "SCALE = (0, 1)\n", "SCALE must be left out with UNIT %"),
        (
            "judges/strict.py",
            JUDGE.replace("%", "score") + "SCALE = (4, 0)\n",
            "SCALE must be the lowest and the highest",
        ),
        ("trainers/mine.py", "def fit(): ...\n", "it has no train"),
        ("trainers/mine.py", 'NEEDS = ["texts"]\n\n\ndef train(): ...\n', "NEEDS must be a tuple"),
        ("readers/mine.py", "def read(path): ...\n", "it has no GIVES"),
        ("readers/mine.py", 'GIVES = "rows"\n\n\ndef read(path): ...\n', "GIVES must be one of ['pairs', 'pairs with"),
        ("backends/mine.py", "def generate(): ...\n", "it has no answer"),
    ],
)
def test_a_mistake_in_a_file_is_one_clear_line(write, file, text, message):
    write(file, text)
    with pytest.raises(BallastError) as error:
        contracts.check()
    assert str(error.value).startswith(f"scripts/ballast/{file}: ") and message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("kind", "reader", "given", "said"),
    [
        (
            "base",
            "gsm8k",
            [],
            "format gsm8k gives prompts, and fine-tuning data needs pairs; did you mean 'gsm8k-pairs'?",
        ),
        ("pool", "xstest", [], "format xstest gives prompts, and a pool needs pairs; did you mean 'xstest-answers'?"),
        ("pool", "prompts", [], "format prompts gives prompts, and a pool needs pairs"),
        ("pool", "beavertails", [], "gives pairs with a category, and a pool needs pairs; did you mean 'beavertails-"),
        ("references", "alpaca", [], "format alpaca gives pairs, and the references needs pairs with a category"),
        (
            "benchmark",
            "alpaca",
            [],
            "format alpaca gives pairs, and a benchmark needs prompts; did you mean 'i-alpaca'?",
        ),
        ("benchmark", "gsm8k-pairs", [], "gives pairs, and a benchmark needs prompts; did you mean 'gsm8k'?"),
        ("benchmark", "i-alpaca", ["prompts"], "at.prompts: format i-alpaca takes none; these do: xstest"),
        (
            "benchmark",
            "i-alpaca",
            ["tags"],
            "at.tags: format i-alpaca takes none; these do: prompts",
        ),
        ("pool", "beavertails-safe", ["columns"], "at.columns: format beavertails-safe takes none"),
    ],
)
def test_a_format_of_another_kind_is_one_line(kind, reader, given, said):
    with pytest.raises(BallastError) as error:
        contracts.check_dataset("at", kind, reader, given)
    assert str(error.value).startswith("config: at") and said in str(error.value) and "\n" not in str(error.value)


def test_every_reader_fits_a_kind_of_dataset():
    for name in plugins.names("readers"):
        kinds = [kind for kind, (gives, _) in contracts.NEEDED.items() if gives == plugins.load("readers", name).GIVES]
        for kind in kinds:
            contracts.check_dataset("at", kind, name, [])
        assert kinds
