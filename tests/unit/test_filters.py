"""Filters of base data: what every filter keeps to, and each on a case small enough to follow."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tiny_runs import OPTIONS

from ballast import plugins
from ballast.asking.loading import load_model, load_tokenizer
from ballast.files import BallastError
from ballast.filters import saft, seal
from ballast.identity import constant
from ballast.study import methods
from ballast.training import fit, per_example

FILTERS = plugins.names("filters")
# What another filter needs beside rows and a model is made where it is tested.
PLAIN = [name for name in FILTERS if not constant(f"filters/{name}", "NEEDS")]


def options(name: str, **changed) -> dict:
    own = methods.defaults("filter", name)
    return OPTIONS | {"train_on_prompt": False} | own | changed


def run(name: str, model: str, rows: pd.DataFrame, seed: int = 0, **changed) -> pd.Series:
    base, safety = (rows[rows["origin"] == origin] for origin in ("base", "subset"))
    plugin = plugins.load("filters", name)
    return plugin.score(model, base, safety if plugin.SAFETY else None, None, options(name, **changed), seed)


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_declares_what_it_is(name):
    plugin = plugins.load("filters", name)
    assert isinstance(plugin.NEEDS, tuple) and {plugin.SEEDED, plugin.SAFETY} <= {True, False}
    assert 0 < options(name)["keep"] <= 1


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_every_base_row_has_a_score_whatever_the_order_of_the_rows(name, model, rows, packing):
    found = run(name, model, rows, packing=packing)
    assert sorted(found.index) == list("abcdefghij") and found.map(math.isfinite).all() and found.nunique() > 1
    again = run(name, model, rows.sample(frac=1, random_state=1).reset_index(drop=True), packing=packing)
    pd.testing.assert_series_equal(again[found.index], found, check_exact=True)


@pytest.mark.parametrize("name", PLAIN)
def test_the_seed_changes_what_it_says_it_does(name, model, rows):
    same = run(name, model, rows, seed=1).equals(run(name, model, rows, seed=0))
    assert same != plugins.load("filters", name).SEEDED


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "random"])  # it reads no row
def test_a_row_that_teaches_nothing_comes_last(name, model, rows):
    rows.loc[3, "instruction"] = "d" * 99
    found = run(name, model, rows)
    assert len(found) == 10 and found["d"] == found.min()


# ---- seal


def test_seals_weights_by_hand():
    """Logits log 3 and 0: softmax (3, 1) / 4, times two rows."""
    assert seal.weights(torch.tensor([math.log(3), 0.0])).tolist() == pytest.approx([1.5, 0.5])


def test_the_first_step_of_a_selector_by_hand(model, rows):
    """The gradient of a logit is its softmax times its loss less the mean loss: the harder half of two rows falls."""
    two = rows[(rows["origin"] == "subset") | rows["id"].isin(["a", "b"])].copy()
    two.loc[two["id"] == "a", "output"] = "zqxjkv"
    found = run("seal", model, two, selector_epochs=1, learning_rate=1e-12)
    # Adam's first step is its learning rate, with the sign of the gradient.
    assert sorted(found.round(6)) == [-0.01, 0.01]
    tokenizer = load_tokenizer(model)
    lora = fit.LoraConfig(task_type="CAUSAL_LM", **OPTIONS["lora"])
    network = fit.get_peft_model(load_model(model), lora)
    batch = fit.Collator(tokenizer)(fit.encode(tokenizer, two[two["origin"] == "base"], options("seal")))
    with torch.no_grad(), per_example.without_dropout(network):
        losses = per_example.row_losses(network, batch).tolist()
    assert (losses[0] > losses[1]) == (found["a"] < found["b"])


def test_seal_keeps_the_rows_that_agree_with_the_safety_rows(model):
    """Equal requests, answered as the safety rows are or otherwise: who agrees is learnt with them."""
    words = list("abcdefgh")
    base = pd.DataFrame({"instruction": [f"Say {word}." for word in words], "output": ["no"] * 4 + ["ok"] * 4})
    safety = pd.DataFrame({"instruction": [f"Say {word}." for word in "qrstuvwx"], "output": "no"})
    rows = pd.concat([base.assign(id=words, origin="base"), safety.assign(id=list("qrstuvwx"), origin="subset")])
    longer = {"selector_epochs": 25, "learning_rate": 5e-2, "batch_size": 4, "safety_weight_decay": 0.0}
    found = run("seal", model, rows.assign(input="").reset_index(drop=True), **longer)
    assert found[list("abcd")].min() > found[list("efgh")].max()


@pytest.mark.parametrize("safety", [None, pd.DataFrame({"id": []})])
def test_seal_without_safety_rows_is_refused(model, rows, safety):
    with pytest.raises(BallastError, match="filter seal: no safety rows to learn with"):
        seal.score(model, rows, safety, None, options("seal"), 0)


def test_a_selector_that_blows_up_says_so(model, rows, monkeypatch):
    losses = per_example.row_losses
    monkeypatch.setattr(per_example, "row_losses", lambda *given: losses(*given) * math.nan)
    with pytest.raises(BallastError, match="a loss is not a number at step 0; lower training.learning_rate"):
        run("seal", model, rows)


# ---- saft


def test_saft_by_hand():
    """(2, 0), (-2, 0), (0, 1), (0, -1) around (5, 5): v_1 is the first axis, squared projections 4 4 0 0, here over 4.

    With both axes, values sqrt 8 and sqrt 2: 4 sqrt 8 against sqrt 2 is 8 to 1.
    """
    states = torch.tensor([[7.0, 5.0], [3.0, 5.0], [5.0, 6.0], [5.0, 4.0]], dtype=torch.float64)
    assert saft.harmfulness(states, 1).tolist() == [1, 1, 0, 0]
    assert saft.harmfulness(states, 2).tolist() == [1, 1, 0.125, 0.125]


def test_saft_is_the_singular_value_decomposition():
    states = torch.from_numpy(np.random.default_rng(0).normal(size=(30, 7)))
    centred = states - states.mean(dim=0)
    _, values, vectors = np.linalg.svd(centred.numpy(), full_matrices=False)
    wanted = (values[:3] * (centred.numpy() @ vectors[:3].T) ** 2).mean(axis=1)
    assert saft.harmfulness(states, 3).numpy() == pytest.approx(wanted / wanted.max(), abs=1e-6)


def test_saft_drops_the_odd_row_out(model, rows):
    """Nine short rows and one of another kind: its hidden state is the direction of most variance."""
    rows.loc[4, "output"] = "~^|@#%&*" * 2
    assert run("saft", model, rows).idxmin() == "e"


@pytest.mark.parametrize("wrong", [{"layer": 3}, {"layer": -1}, {"directions": 0}, {"directions": 33}])
def test_a_layer_or_a_number_of_directions_that_is_not_there_is_refused(model, rows, wrong):
    with pytest.raises(BallastError, match="this model has 2 layers and hidden states of 32 dimensions"):
        run("saft", model, rows, **wrong)
