"""Methods: what a config may name, which parts they have, and which runs and subsets follow."""

import copy
from pathlib import Path

import pytest

from ballast import config
from ballast.files import BallastError
from ballast.runs import Run, runs, subset, trained

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
        ({"mine": {"sampler": "ssb"}}, ["methods.mine.sampler", "no sampler is called 'ssb'", "did you mean 'sss-b'"]),
        ({"mine": {"trainer": "stf"}}, ["methods.mine.trainer", "no trainer is called 'stf'", "did you mean 'sft'"]),
        ({"mine": {"of": "random"}}, ["methods.mine", "'of' goes with one of 'transform' and 'then'"]),
        ({"mine": {"of": "random", "transform": "no"}}, ["methods.mine.transform", "no transform is called 'no'"]),
        ({"mine": {"sampler": "random", "of": "sss", "transform": "x"}}, ["methods.mine", "say sampler"]),
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
    assert (found.sampler, found.trainer, found.filter, found.of) == ("sss-b", "sft", None, None)
    assert found.reads == {"behaviour", "category"} and not found.whole_pool


def test_methods_that_ask_a_sampler_for_the_same_share_its_subsets():
    found = study({"mine": {"sampler": "random", "trainer": "sft"}}, ["random", "mine"])
    assert {run.sampler for run in runs(found)} == {"random", "mine"}
    assert {subset(found, run) for run in runs(found)} == {
        f"safety/random/n{n}/t{trial}" for n in (7, 14) for trial in range(2)
    }


def test_a_method_without_a_sampler_has_one_n():
    found = study({"mine": {"trainer": "sft"}}, ["mine"])
    assert [run.n for run in runs(found)] == [0, 0]
    assert subset(found, runs(found)[0]) == "safety/none/n0/t0"
    assert trained(found) == runs(found)
    assert runs(found)[0] == Run("llama", "safety", "mine", 0, 0)
