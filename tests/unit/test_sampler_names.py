"""One file of a sampler answers to its name, `-b` and `-t1` to `-t4`: what each picks, what it is told, refusals."""

import copy
import json
import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest

import ballast.samplers
from ballast import api, identity, plugins, samplers
from ballast.data.rows import PAIR
from ballast.files import BallastError, write_parquet
from ballast.picks.features import FILES
from ballast.results import contrasts, style
from ballast.study import config
from ballast.study.runs import Run, subset

ROOT = Path(__file__).parents[2]
MINI = config.read(ROOT / "config/mini.yaml")
OWN = '''"""k-means: the rows with the lowest ids, and the whole pool's size as a check."""

from ballast.picks.selection import first

NEEDS = ()
SEEDED = False
OPTIONS = {"clusters": (14, "How many."), "multilabel": (("first-taken", "primary-only"), "As the config says.")}
AMONG = {"spread": (("near", "far"), "Only among one behaviour.")}


def select(pool, features, n, seed, options):
    assert len(features.pool) == 8 and set(options) - {"spread"} == {"clusters", "multilabel"}
    return first(sorted(pool["id"], reverse=options.get("spread") == "far"), n)
'''
POOL = pd.DataFrame({"id": list("abcdefgh"), "instruction": "Ask", "output": "Answer"})
BEHAVIOUR = ["T1", "T2", "T3", "T4"] * 2


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Ballast with one more file, samplers/k_means.py."""
    home = tmp_path / "ballast"
    (home / "samplers").mkdir(parents=True)
    for file in plugins.HOME.iterdir():
        if file.name != "samplers":
            (home / file.name).symlink_to(file)
    for file in (plugins.HOME / "samplers").glob("*.py"):
        (home / "samplers" / file.name).symlink_to(file)
    (home / "samplers/k_means.py").write_text(OWN)
    for module in (plugins, identity):
        monkeypatch.setattr(module, "HOME", home)
    monkeypatch.setattr(ballast.samplers, "__path__", [str(home / "samplers")])
    monkeypatch.delitem(sys.modules, "ballast.samplers.k_means", raising=False)


def study(named: list[str], methods: dict | None = None, **changes):
    raw = copy.deepcopy(MINI) | {"methods": methods or {}} | changes
    grid = {"models": ["llama"], "pools": ["safety"], "samplers": named, "n": [2], "trials": 1}
    return config.load(raw | {"experiments": {"sampling": grid}})


FORMS = {"k-means": "ab", "k-means-b": "ae", "k-means-t1": "ae", "k-means-t2": "bf", "k-means-t4": "dh"}


@pytest.mark.parametrize(("name", "ids"), FORMS.items())
def test_a_users_own_file_gives_every_form(own, tmp_path, name, ids):
    assert api.select(POOL, name, 2, behaviour=BEHAVIOUR)["id"].tolist() == list(ids)
    found = study([name]).method(name)
    assert (found.sampler, found.picker, found.seeded) == ("k-means", name, False)
    assert found.needs("sampler") == (() if name == "k-means" else ("behaviour",)) and found.n(2) == 2
    assert subset(study([name]), Run("llama", "safety", name, 2, 0)) == f"safety/{name}/n2/t0"
    write_parquet(tmp_path / "pool.parquet", POOL.assign(input="")[["id", *PAIR]])
    labels = {"id": POOL["id"], "behaviour": BEHAVIOUR, "reason": "", "judge": "me"}
    write_parquet(tmp_path / "behaviour.parquet", pd.DataFrame(labels))
    program = runpy.run_path(str(ROOT / "scripts/sample.py"))
    given = {name.replace("-", "_"): None for name in FILES} | {
        "sampler": found.sampler,
        "among": found.among,
        "n": 2,
        "seed": 0,
        "options": json.dumps(found.options("sampler")),
        "pool": str(tmp_path / "pool.parquet"),
        "behaviour": str(tmp_path / "behaviour.parquet"),
        "out": str(tmp_path / "subset.csv"),
        "out_rows": str(tmp_path / "subset.parquet"),
    }
    program["main"](type("Given", (), given))
    assert pd.read_csv(tmp_path / "subset.csv")["id"].tolist() == list(ids)
    assert pd.read_parquet(tmp_path / "subset.parquet")["id"].tolist() == list(ids)


def test_a_method_says_among_in_a_key_and_shares_the_subsets_of_the_name(own):
    methods = {
        "mine": {"sampler": "k-means", "among": "T2"},
        "far": {"sampler": "k-means", "among": "T1", "options": {"spread": "far", "clusters": 3}},
        "then": {"of": "mine", "then": "more"},
    }
    found = study(["k-means-t2", "mine", "far"], methods, tasks={"more": {"world": "base.json"}})
    mine, far, then = map(found.method, methods)
    assert (mine.among, mine.picker, mine.rule) == ("T2", "k-means-t2", "k-means among T2")
    assert (far.among, far.picker) == ("T1", "far") and (then.among, then.sampler) == ("T2", "k-means")
    assert far.options("sampler") == {"clusters": 3, "multilabel": "first-taken", "spread": "far"}
    assert found.method("k-means").options("sampler") == {"clusters": 14, "multilabel": "first-taken"}


def test_a_file_of_its_own_comes_before_the_form(own):
    (plugins.HOME / "samplers/sss_b.py").write_text(OWN)
    plugins._names.cache_clear()
    assert samplers.split("sss-b") == ("sss-b", None) and samplers.split("sss-t1") == ("sss", "T1")
    assert samplers.join("sss", "T1") == "sss-t1" and samplers.join("sss", "T2") == "sss-t2"


def test_each_name_stands_for_a_sampler_and_a_behaviour():
    assert samplers.split("sss") == ("sss", None) and samplers.split("sss-b") == ("sss", "T1")
    assert [samplers.split(f"t{number}") for number in range(1, 5)] == [("random", f"T{n}") for n in range(1, 5)]
    assert samplers.split("facility-location-t3") == ("facility-location", "T3")
    for other in ("none", "none-b", "plan-b", "sss-b-then-again", "sss-c", "t5", "as-is", "-b"):
        assert samplers.split(other) == (other, None), other
    assert all(samplers.join(*samplers.split(name)) in samplers.names() for name in samplers.names())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("none-b", "no sampler is called 'none-b'; did you mean 'none'?"),
        ("none-t2", "no sampler is called 'none-t2'; did you mean 'none'?"),
        ("k-center-t5", "no sampler is called 'k-center-t5'; did you mean 'k-center-t"),
        ("k-centre-b", "no sampler is called 'k-centre-b'; did you mean 'k-center-b'?"),
        ("t5", "no sampler is called 't5'; did you mean 't"),
        ("xyzzy", "no sampler is called 'xyzzy'; there are: clusters, cossim, dsir,"),
    ],
)
def test_a_name_that_is_none_is_refused_in_one_line_wherever_it_stands(name, told):
    for ask in (
        lambda: api.select(POOL, name, 2, behaviour=BEHAVIOUR),
        lambda: study([name]),
        lambda: study(["random"]).method(name),
        lambda: study(["random"], {"mine": {"sampler": name}}),
    ):
        with pytest.raises(BallastError) as error:
            ask()
        assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (
            {"sampler": "sss-b", "among": "T2"},
            "methods.mine.among: sampler 'sss-b' picks among T1 already; did",
        ),
        (
            {"sampler": "none", "among": "T2"},
            "methods.mine.among: sampler 'none' picks no rows of a behaviour; there are: ",
        ),
        ({"sampler": "sss", "among": "T5"}, "methods.mine.among: input should be 'T1', 'T2', 'T3' or 'T4', got 'T5'"),
        ({"of": "sss", "transform": "safe-lora", "among": "T1"}, "methods.mine: 'of' names a finished adapter"),
        ({"sampler": "pss", "options": {"centroid": "all"}}, "methods.mine.options: 'centroid' is not an option"),
        ({"sampler": "pss-b", "options": {"centroid": "some"}}, "methods.mine.options.centroid: one of all, eligible"),
    ],
)
def test_a_mistake_in_a_method_is_refused_in_one_line(method, told):
    with pytest.raises(BallastError) as error:
        study(["random"], {"mine": method})
    assert told in str(error.value) and "\n" not in str(error.value)


def test_a_method_may_not_take_the_name_of_a_form():
    with pytest.raises(BallastError, match="methods.sss-t2: 'sss-t2' is a sampler already"):
        study(["random"], {"sss-t2": {"sampler": "sss"}})


def asked(**sampling) -> dict[str, dict]:
    """The options that each sampler of mini would be given."""
    found = config.load(MINI | {"sampling": sampling})
    names = {name for _, experiment in found.experiments if experiment for name in experiment.samplers}
    return {name: found.method(name).options("sampler") for name in sorted(names)}


def test_a_key_of_sampling_changes_the_options_of_those_that_declare_it_alone():
    usual, centroid, multilabel = asked(), asked(centroid="eligible"), asked(multilabel="primary-only")
    assert {name for name in usual if usual[name] != centroid[name]} == {"pss-b"}
    assert {name for name in usual if usual[name] != multilabel[name]} == {"sss", "sss-b", "pss", "pss-b"}
    assert usual["random"] == usual["cossim-b"] == {} and usual["pss-b"]["centroid"] == "all"  # as the paper's text


def test_a_methods_own_option_wins_over_the_key_of_sampling():
    mine = {"sampler": "pss-b", "options": {"centroid": "all"}}
    found = study(["random"], {"mine": mine}, sampling={"centroid": "eligible"})
    assert found.method("pss-b").options("sampler")["centroid"] == "eligible"
    assert found.method("mine").options("sampler")["centroid"] == "all" and found.method("mine").picker == "mine"


def test_the_keys_of_sampling_are_options_that_samplers_declare():
    known = {}
    for name in plugins.names("samplers"):
        for constant in ("OPTIONS", "AMONG"):
            for option, (value, _) in (identity.constant(f"samplers/{name}", constant, {}) or {}).items():
                known.setdefault(option, []).append(value)
    for key, default in config.Sampling():
        choices = set(config.Sampling.model_fields[key].annotation.__args__)
        assert known[key] and all(set(value) == choices and value[0] == default for value in known[key]), key


def test_figures_and_contrasts_ask_which_sampler_and_which_behaviour():
    assert style.hue("sss-t2") == style.hue("sss-b") == style.hue("sss") != style.hue("random-b")
    assert {style.marker(name) for name in ("sss-b", "sss-t3", "random-b")} == {"s"}
    assert {style.marker(name) for name in ("sss", "plan-b", "as-is")} == {"o"}
    present = ["random", "random-b", "t2", "sss", "sss-b", "sss-t2", "plan-b"]
    pairs = {name: list(contrasts.against(name, present)) for name in present}
    random, parent = ("random", "random"), ("its own parent", "sss")
    assert pairs["sss-b"] == [random, ("random-b", "random-b"), parent]
    assert pairs["sss-t2"] == [random, ("t2", "t2"), parent]
    assert pairs["random-b"] == pairs["t2"] == pairs["plan-b"] == [random]
