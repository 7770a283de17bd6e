"""Methods: what a config may name, which parts they have, and which runs and subsets follow."""

import copy
from pathlib import Path

import pytest

from ballast.files import BallastError
from ballast.study import config
from ballast.study.plan import Plan
from ballast.study.runs import Run, runs, subset, trained

ROOT = Path(__file__).parents[2]
MINI = config.read(ROOT / "config/mini.yaml")


def study(methods: dict, samplers: list[str], **experiment):
    raw = copy.deepcopy(MINI) | {"methods": methods}
    sampling = {"models": ["llama"], "pools": ["safety"], "samplers": samplers, "n": [7, 14], "trials": 2}
    raw["experiments"] = {"sampling": sampling | experiment}
    return config.load(raw)


@pytest.mark.parametrize(
    ("methods", "told"),
    [
        ({"random": {"sampler": "sss"}}, ["methods.random", "is a sampler already"]),
        ({"as-is": {"sampler": "sss"}}, ["methods.as-is", "without fine-tuning", "another name"]),
        ({"my_own": {"sampler": "sss"}}, ["methods.my_own", "no '_'", "write 'my-own'"]),
        ({"my.own": {"sampler": "sss"}}, ["methods.my.own", "no '.'", "write 'my-own'"]),
        ({"mine": {"sampler": "ssb"}}, ["methods.mine.sampler", "no sampler is called 'ssb'", "did you mean 'sss-b'"]),
        ({"on": {"of": "mine", "transform": "safe-lora"}, "mine": {"sampler": "ssb"}}, ["methods.mine.sampler: no"]),
        ({"mine": {"trainer": "stf"}}, ["methods.mine.trainer", "no trainer is called 'stf'", "did you mean 'sft'"]),
        ({"mine": {"of": "random"}}, ["methods.mine", "'of' goes with one of 'transform', 'then' and 'trainer'"]),
        ({"mine": {"of": "random", "transform": "no"}}, ["methods.mine.transform", "no transform is called 'no'"]),
        ({"mine": {"sampler": "random", "of": "sss", "transform": "x"}}, ["methods.mine", "set sampler"]),
        ({"mine": {"sampler": "random", "options": {"rho": 1}}}, ["methods.mine.options", "'rho' is not an option"]),
        ({"mine": {"smapler": "random"}}, ["methods.mine.smapler", "did you mean 'sampler'"]),
    ],
)
def test_a_mistake_in_a_method_is_one_line_that_says_where(methods, told):
    with pytest.raises(BallastError) as error:
        study(methods, ["random"])
    assert "\n" not in str(error.value)
    for part in told:
        assert part in str(error.value)


def test_a_name_that_is_neither_sampler_nor_method_offers_the_nearest():
    with pytest.raises(BallastError, match="no sampler is called 'myne'; did you mean 'mine'"):
        study({"mine": {"sampler": "random"}}, ["myne"])


def test_a_sampler_is_a_method_by_itself():
    found = study({}, ["sss-b"]).method("sss-b")
    assert (found.sampler, found.among, found.picker) == ("sss", "T1", "sss-b")
    assert (found.trainer, found.filter, found.of) == ("sft", None, None)
    assert found.reads == {"behaviour", "category"} and not found.whole_pool


def test_methods_that_ask_a_sampler_for_the_same_share_its_subsets():
    found = study({"mine": {"sampler": "random", "trainer": "sft"}}, ["random", "mine"])
    assert {run.sampler for run in runs(found)} == {"random", "mine"}
    assert {subset(found, run) for run in runs(found)} == {
        f"safety/random/n{n}/t{trial}" for n in (7, 14) for trial in range(2)
    }


def beyond(methods: dict, samplers: list[str]):
    """A study whose experiment `beyond` has these methods."""
    raw = copy.deepcopy(MINI) | {"methods": methods}
    grid = {"models": ["llama"], "pools": ["safety"], "n": [7, 14], "trials": 2}
    raw["experiments"] = {"sampling": grid | {"samplers": ["random"]}, "beyond": grid | {"samplers": samplers}}
    return config.load(raw)


def test_a_method_without_safety_examples_has_no_n():
    found = beyond({"mine": {"filter": "saft"}}, ["mine"])
    mine = [run for run in runs(found) if run.sampler == "mine"]
    assert mine == [Run("llama", "safety", "mine", 0, trial) for trial in range(2)]
    assert subset(found, mine[0]) == "safety/none/n0/t0"
    assert trained(found) == runs(found)


def test_where_n_is_shown_it_is_refused():
    with pytest.raises(BallastError, match="experiments.sampling: 'mine' adds no safety examples.*experiments.beyond"):
        study({"mine": {"filter": "saft"}}, ["random", "mine"])


def test_a_transformed_run_is_trained_as_the_other_method_and_a_trainer_that_picks_has_no_subset():
    methods = {"other": {"of": "random", "transform": "safe-lora"}, "whole": {"trainer": "dualselect"}}
    raw = copy.deepcopy(MINI)
    raw["models"]["llama"]["pretrained"] = "llama-base"
    grid = {"models": ["llama"], "pools": ["safety"], "samplers": ["other", "whole"], "n": [7], "trials": 1}
    found = config.load(raw | {"methods": methods, "experiments": {"sampling": grid}})
    assert {run.sampler for run in trained(found)} == {"random", "whole"}
    assert subset(found, Run("llama", "safety", "whole", 7, 0)) is None
    with pytest.raises(BallastError, match="models.llama.pretrained: a method of the study needs it"):
        config.load(copy.deepcopy(MINI) | {"methods": methods, "experiments": {"sampling": grid}})


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"rho": "much"}, "methods.mine.options.rho: a number is wanted, got 'much'"),
        ({"rho": True}, "methods.mine.options.rho: a number is wanted, got True"),
        ({"correction": "align"}, "methods.mine.options.correction: one of additive, projection, none is wanted"),
        ({"warm_up": 1.5}, "methods.mine.options.warm_up: a whole number is wanted, got 1.5"),
    ],
)
def test_an_option_of_the_wrong_kind_is_named(options, told):
    with pytest.raises(BallastError, match=told):
        study({"mine": {"trainer": "dualselect", "options": options}}, ["mine"])


def test_methods_of_each_other_never_end():
    circle = {name: {"of": of, "transform": "safe-lora"} for name, of in (("a", "b"), ("b", "a"))}
    with pytest.raises(BallastError, match="methods.a.of: a of b of a, which never ends"):
        study(circle, ["random"])


PATCH = {"of": "none", "sampler": "random-b", "trainer": "patch"}


def test_a_patch_picks_its_own_rows_and_trains_the_adapter_of_base_data_alone():
    found = beyond({"mine": PATCH, "safe": {"of": "mine", "transform": "safe-lora"}}, ["mine"])
    run = Run("llama", "safety", "mine", 14, 1)
    plan = Plan(found)
    assert (
        plan.source_run(run) == Run("llama", "safety", "none", 0, 1) and subset(found, run) == "safety/random-b/n14/t1"
    )
    assert {Run("llama", "safety", "none", 0, 1), run} <= set(trained(found)) and plan.patched == ["mine"]
    method = found.method("safe")
    assert not method.patches and method.adds_rows and method.of == "mine", "a transform of it is none"


@pytest.mark.parametrize(
    ("method", "told"),
    [
        (PATCH | {"of": None}, "methods.mine.trainer: patch trains a finished adapter; name it in a method, with 'of'"),
        (PATCH | {"trainer": "lisa"}, "methods.mine.trainer: lisa trains a new adapter; leave out 'of'"),
        (PATCH | {"sampler": "none"}, "methods.mine.sampler: patch trains on the rows that a sampler picks"),
        (PATCH | {"of": "random"}, "methods.mine.of: 'random' adds safety examples itself, so n would count two"),
        (PATCH | {"filter": "saft"}, "'of' names a finished adapter; set sampler, filter and trainer in that method"),
        (PATCH | {"transform": "safe-lora"}, "'of' goes with one of 'transform', 'then' and 'trainer'"),
    ],
)
def test_a_patch_without_its_parts_says_which_one(method, told):
    with pytest.raises(BallastError, match=told):
        study({"mine": {key: value for key, value in method.items() if value}}, ["mine"])


def test_a_patch_is_no_studys_trainer():
    raw = copy.deepcopy(MINI)
    raw["training"]["trainer"] = "patch"
    with pytest.raises(BallastError, match="training.trainer: patch trains a finished adapter"):
        config.load(raw)
