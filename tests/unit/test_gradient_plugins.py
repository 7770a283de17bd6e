"""Samplers and filters that read gradients, on cases small enough to check by hand."""

import numpy as np
import pandas as pd
import pytest

from ballast import plugins, samplers
from ballast.files import BallastError
from ballast.picks.gradients import conflicts, in_memory, increases, standardised
from ballast.picks.selection import Features, draw, pick

NORTH, EAST, SOUTH, WEST, NONE = (0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 0.0)


def gradients_of(rows: dict[str, tuple]):
    """Gradients by id: a direction, a loss and a norm; a direction of zeros is a row that teaches nothing."""
    directions, losses, norms = zip(*rows.values(), strict=True)
    norms = [norm if any(direction) else 0 for direction, norm in zip(directions, norms, strict=True)]
    return in_memory(list(rows), losses, norms, np.array(directions, float))


# The task pulls north, harder in one row than in the other.
BASE = gradients_of({"x": (NORTH, 0.5, 3.0), "y": (NORTH, 2.0, 1.0), "z": (NONE, 9.0, 0.0)})
POOL = {"a": (SOUTH, 1.0, 1.0), "b": (EAST, 1.5, 1.0), "c": (NORTH, 2.5, 1.0), "d": (NONE, 9.0, 0.0)}


def select(sampler: str, features: Features, n: int, seed: int = 0, ids=None, **options) -> list[str]:
    name, among = samplers.split(sampler)
    plugin = plugins.load("samplers", name)
    own = {name: default for name, (default, _) in getattr(plugin, "OPTIONS", {}).items()}
    pool = pd.DataFrame({"id": ids or features.gradients.ids})
    return pick(plugin, pool, features, n, seed, own | options, among).ids


def test_dualselect_static_adds_loss_and_conflict():
    features = Features(gradients=gradients_of(POOL), base_gradients=BASE)
    # a: 1.0 + 1 = 2; b: 1.5 + 0; c: 2.5 - 1 = 1.5, a tie with b that goes by id.
    assert select("dualselect-static", features, 3) == ["a", "b", "c"]
    assert select("dualselect-static", features, 3, loss_weight=2.0) == ["c", "a", "b"], "a: 2 + 1 ties b: 3"


def test_dualselect_static_by_loss_or_conflict_alone():
    features = Features(gradients=gradients_of(POOL), base_gradients=BASE)
    assert select("dualselect-static", features, 3, conflict_weight=0.0) == ["c", "b", "a"]
    assert select("dualselect-static", features, 3, loss_weight=0.0) == ["a", "b", "c"]


def test_a_cold_draw_is_the_hard_choice_and_a_hot_one_is_random():
    random = np.random.default_rng(0)
    pool = {f"{row:03d}": (tuple(random.normal(size=2)), random.uniform(), 1.0) for row in range(60)}
    features = Features(gradients=gradients_of(pool), base_gradients=BASE)
    hard = select("dualselect-static", features, 20)
    assert select("dualselect-static", features, 20, seed=5) == hard, "without a temperature there is no draw"
    assert select("dualselect-static", features, 20, temperature=1e-7) == hard
    assert select("dualselect-static", features, 20, seed=5, temperature=1e9) == draw(list(pool), 20, 5)


def test_a_draw_follows_the_softmax():
    pool = {"a": (SOUTH, 1.0, 1.0), "b": (SOUTH, 1.0 - np.log(3), 1.0)}
    features = Features(gradients=gradients_of(pool), base_gradients=BASE)
    drawn = [select("dualselect-static", features, 1, seed=seed, temperature=1.0)[0] for seed in range(700)]
    # 3 to 1, and three standard errors of a share of 0.75 over 700 draws.
    assert drawn.count("a") / 700 == pytest.approx(0.75, abs=0.05)


def test_loss_increase_adds_the_standardised_increase_and_conflict():
    before = pd.Series([np.full(2, -loss, np.float32) for loss in (1.0, 0.5, 0.5)], index=["a", "b", "c"])
    before["d"] = np.empty(0, np.float32)
    features = Features(gradients=gradients_of(POOL), base_gradients=BASE, logprobs=before)
    rows = features.gradients.learnt(list(POOL))
    # Increases 0, 1 and 2, conflicts 1, 0 and -1: they cancel, and so ids decide.
    assert increases(features.gradients, rows, before).tolist() == [0.0, 1.0, 2.0]
    assert conflicts(features.gradients, rows, BASE.mean()).tolist() == [1.0, 0.0, -1.0]
    assert select("loss-increase", features, 3) == ["a", "b", "c"]
    before["b"] = np.full(2, -0.1, np.float32)  # increases 0, 1.4 and 2
    assert select("loss-increase", features, 1) == ["b"]


def test_loss_increase_b_standardises_over_t1_alone():
    before = pd.Series([np.full(1, -loss, np.float32) for loss in (1.0, 0.5, 0.5, 1.0)], index=list("abcd"))
    behaviour = pd.Series(["T1", "T2", "T1", "T1"], index=list("abcd"))
    features = Features(behaviour, gradients=gradients_of(POOL), base_gradients=BASE, logprobs=before)
    assert select("loss-increase-b", features, 2) == ["a", "c"]
    with pytest.raises(BallastError, match="3 examples wanted, but only 2 rows"):
        select("loss-increase-b", features, 3)


def test_standardised_values_have_mean_0_and_deviation_1_and_equal_ones_are_0():
    assert standardised(np.array([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert standardised(np.array([2.0, 2.0])).tolist() == [0.0, 0.0] and len(standardised(np.empty(0))) == 0


def test_less_is_the_cosine_to_the_mean_gradient_of_t1():
    pool = POOL | {"e": (NORTH, 1.0, 5.0), "f": (WEST, 1.0, 1.0)}
    behaviour = pd.Series(["T4", "T1", "T4", "T1", "T1", "T4"], index=list(pool))
    features = Features(behaviour, gradients=gradients_of(pool))
    # T1 is b (1, 0), e (0, 5) and d, which has no gradient: (0.5, 2.5), so c and e tie, then b, then f, and a last.
    assert select("less", features, 5) == ["c", "e", "b", "f", "a"]


@pytest.mark.parametrize("sampler", ["dualselect-static", "loss-increase", "less"])
def test_a_row_that_teaches_nothing_is_never_picked(sampler):
    before = pd.Series([np.ones(1, np.float32)] * 4, index=list("abcd"))
    features = Features(pd.Series("T1", index=list("abcd")), None, None, None, gradients_of(POOL), BASE, None, before)
    assert "d" not in select(sampler, features, 3)
    with pytest.raises(BallastError, match="^4 examples wanted, but only 3 rows are eligible"):
        select(sampler, features, 4)


def test_a_row_without_a_gradient_in_the_file_is_named():
    features = Features(gradients=gradients_of(POOL), base_gradients=BASE)
    with pytest.raises(BallastError, match="gradients: row q is missing; delete the file"):
        select("dualselect-static", features, 1, ids=["a", "q"])


# ---- filters


def scored(name: str, features: Features, ids: list[str], safety=None, seed: int = 0, **options) -> dict[str, float]:
    plugin = plugins.load("filters", name)
    own = {key: default for key, (default, _) in plugin.OPTIONS.items()}
    base = pd.DataFrame({"id": ids})
    return plugin.score("", base, safety, features, own | options, seed).round(9).to_dict()


def test_bi_anchor_prefers_rows_like_safe_ones_to_rows_like_harmful_ones():
    base = gradients_of({"n": (NORTH, 1.0, 1.0), "s": (SOUTH, 1.0, 4.0), "e": (EAST, 1.0, 1.0), "0": (NONE, 1.0, 0.0)})
    harmful = gradients_of({"h": (NORTH, 1.0, 1.0), "i": (NORTH, 1.0, 9.0)})
    behaviour = pd.Series(["T1", "T1", "T2"], index=list("tuv"))
    pool = gradients_of({"t": (SOUTH, 1.0, 1.0), "u": (EAST, 1.0, 1.0), "v": (NORTH, 1.0, 1.0)})
    features = Features(behaviour, gradients=pool, base_gradients=base, reference_gradients=harmful)
    found = scored("bi-anchor", features, ["e", "n", "0", "s"])
    # Mean cosines to t and u less those to h and i: norms do not count.
    assert found == {"e": 0.5, "n": -1.5, "0": -1e6, "s": 1.5}
    one = scored("bi-anchor", features, ["n"], anchors=1)
    assert one["n"] in (-2.0, -1.0), "one safe anchor, t or u"
    assert len({scored("bi-anchor", features, ["n"], anchors=1, seed=seed)["n"] for seed in range(20)}) == 2


def test_dualselect_static_filters_by_loss_and_compatibility():
    features = Features(gradients=gradients_of(POOL), base_gradients=BASE)
    safety = pd.DataFrame({"id": ["b", "c"]})  # their mean gradient points north-east
    half = round(2**-0.5, 9)
    found = scored("dualselect-static", features, ["y", "x", "z"], safety)
    assert found == {"y": round(half - 2.0, 9), "x": round(half - 0.5, 9), "z": -1e6}
    assert scored("dualselect-static", features, ["x"], safety, task_loss_weight=0.0) == {"x": half}


def test_moderate_gradient_keeps_norms_near_the_median_of_rows_with_a_usual_loss():
    # Losses: mean 3, deviation 2.38, so 0.62 to 5.38 are usual; norms of these: 1, 2, 4, 9, with the median 3.
    rows = {"a": (1.0, 9.0), "b": (5.0, 4.0), "c": (2.0, 2.0), "d": (3.0, 1.0), "e": (0.0, 3.0), "f": (7.0, 3.0)}
    losses = [loss for loss, _ in rows.values()]
    assert (np.mean(losses), round(np.std(losses), 3)) == (3.0, 2.38)
    base = gradients_of({name: (NORTH, *each) for name, each in rows.items()} | {"0": (NONE, 9.0, 0.0)})
    found = scored("moderate-gradient", Features(base_gradients=base), [*reversed(rows), "0"])
    assert {name: found[name] for name in "abcd"} == {"a": -6.0, "b": -1.0, "c": -1.0, "d": -2.0}
    # e is 3 from the mean and f is 4: both come after the worst of the others, and a row without a token last.
    assert (found["e"], found["f"]) == pytest.approx((-6 - 3 + np.std(losses), -6 - 4 + np.std(losses)))
    assert found["0"] == min(found.values())
    wide = scored("moderate-gradient", Features(base_gradients=base), list(rows), loss_deviations=9.0)
    assert wide == {"a": -6.0, "b": -1.0, "c": -1.0, "d": -2.0, "e": 0.0, "f": 0.0}, "the median of six is 3"
    assert set(scored("moderate-gradient", Features(base_gradients=base), ["b", "c"]).values()) == {-1.0}


@pytest.mark.parametrize("name", ["bi-anchor", "dualselect-static"])
def test_scores_do_not_depend_on_order_or_on_rows_beside(name):
    random = np.random.default_rng(0)
    rows = [tuple(each) for each in random.normal(size=(40, 2))]
    made = [
        {f"{kind}{place}": (row, 1.0, 2.0) for place, row in enumerate(rows[:count])}
        for kind, count in (("b", 40), ("p", 30), ("r", 25))
    ]

    def features(order) -> Features:
        base, pool, references = (gradients_of(dict(order(list(each.items())))) for each in made)
        behaviour = pd.Series("T1", index=order(list(made[1])))
        return Features(behaviour, None, None, None, pool, base, references)

    safety = pd.DataFrame({"id": ["p3", "p7"]})
    whole = scored(name, features(lambda items: items), list(made[0]), safety)
    some = scored(name, features(lambda items: items[::-1]), ["b9", "b2"], safety)
    assert some == {row: whole[row] for row in ("b9", "b2")}
