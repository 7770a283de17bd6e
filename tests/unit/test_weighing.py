"""Weights from scores: each mode's limits, and entropy's weights against what defines them."""

import numpy as np
import pytest
from scipy.optimize import minimize

from ballast.training.weighing import MODES, weigh

RANDOM = np.random.default_rng(0)
SCORES, SIZES = RANDOM.normal(size=12), RANDOM.integers(1, 9, 12)
IDS = [f"r{number:02}" for number in range(12)]


def weights(mode, temperature=0.1, budget=20, scores=SCORES, sizes=SIZES, ids=IDS):
    return weigh(scores, sizes, ids, budget, mode, temperature)


def test_hard_takes_the_best_until_the_budget_is_reached():
    found = weigh([1.0, 3.0, 2.0, 0.0], [4, 2, 3, 9], list("abcd"), 5, "hard", 1.0)
    assert found.tolist() == [0, 2 / 5, 3 / 5, 0]
    found = weigh([1.0, 3.0, 2.0, 0.0], [4, 2, 3, 9], list("abcd"), 5.1, "hard", 1.0)
    assert found.tolist() == [4 / 9, 2 / 9, 3 / 9, 0], "the row that reaches it is whole"


@pytest.mark.parametrize("mode", MODES)
def test_they_sum_to_one_rank_as_the_scores_and_do_not_depend_on_order(mode):
    found = weights(mode)
    assert found.sum() == pytest.approx(1)
    density = found / SIZES
    assert (np.diff(density[np.argsort(-SCORES)]) <= 1e-15).all()
    turned = RANDOM.permutation(12)
    again = weights(mode, scores=SCORES[turned], sizes=SIZES[turned], ids=[IDS[at] for at in turned])
    assert np.array_equal(again, found[turned])


@pytest.mark.parametrize("mode", MODES)
def test_equal_scores_rank_by_id(mode):
    found = weigh([1.0, 1.0, 1.0], [1, 1, 1], ["c", "a", "b"], 1, mode, 1e-9 if mode == "entropy" else 1.0)
    assert found.tolist() == ([0, 1, 0] if mode != "entropy" else pytest.approx([1 / 3] * 3))


@pytest.mark.parametrize("temperature", [1e-9, 1e-6, 1e-3])
def test_entropy_without_temperature_is_the_hard_choice(temperature):
    assert weights("entropy", temperature) == pytest.approx(weights("hard"), abs=1e-12)
    assert weights("entropy", temperature, budget=1e9) == pytest.approx(SIZES / SIZES.sum())


def test_a_temperature_without_bound_gives_the_hard_choice_by_softmax_and_all_their_share_by_entropy():
    assert weights("softmax", 1e12) == pytest.approx(weights("hard"))
    assert weights("entropy", 1e12) == pytest.approx(SIZES / SIZES.sum())


def test_softmax_is_as_defined_and_bears_scores_of_any_size():
    best = weights("hard") > 0
    raised = SIZES * np.exp(SCORES / 0.1) * best
    assert weights("softmax") == pytest.approx(raised / raised.sum())
    assert np.isfinite(weights("softmax", scores=SCORES * 1e6)).all()
    assert np.isfinite(weights("entropy", scores=SCORES * 1e6)).all()


@pytest.mark.parametrize("temperature", [0.05, 0.3, 2.0])
@pytest.mark.parametrize("budget", [3, 20, 40])
def test_entropy_is_the_best_of_all_weights_under_its_cap(temperature, budget):
    found = weights("entropy", temperature, budget)
    cap = SIZES / SIZES[weights("hard", budget=budget) > 0].sum()
    assert (found <= cap + 1e-12).all()

    def lost(values):
        values = np.maximum(values, 1e-300)
        return temperature * (values * np.log(values / SIZES)).sum() - values @ SCORES

    limits = {"type": "eq", "fun": lambda values: values.sum() - 1}
    best = minimize(
        lost, SIZES / SIZES.sum(), bounds=[(0, top) for top in cap], constraints=limits, options={"ftol": 1e-12}
    )
    assert best.success and lost(found) <= best.fun + 1e-9
    assert found == pytest.approx(best.x, abs=1e-3)
