"""Statistics: intervals that hold what they promise where the truth is known; contrasts that pair what is shared."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ballast.results.statistics import (
    NOTHING,
    PROMPTS_ONLY,
    TWO_WAY,
    Estimate,
    area_under_curve,
    difference,
    estimate,
    holm,
)

TRUTH = 1.5


def crossed(draw, runs, prompts, of_runs, of_prompts, noise):
    """Scores whose mean is TRUTH, with a standard deviation for runs, one for prompts and one for what is left."""
    shape = (runs, prompts)
    return (
        TRUTH
        + draw.normal(0, of_runs, (runs, 1))
        + draw.normal(0, of_prompts, (1, prompts))
        + draw.normal(0, noise, shape)
    )


def simulated(runs, prompts, of_runs, of_prompts, noise, resamples, simulations=500):
    """How often the truth is inside the two-way interval and the one over prompts alone, and how much wider one is."""
    draw = np.random.default_rng(7)
    inside, halves = np.zeros((simulations, 2), dtype=bool), np.zeros((simulations, 2))
    for row in range(simulations):
        scores = crossed(draw, runs, prompts, of_runs, of_prompts, noise)
        both, alone = estimate(scores, 0, resamples), estimate(scores.mean(axis=0, keepdims=True), 0, resamples)
        inside[row] = [each.low <= TRUTH <= each.high for each in (both, alone)]
        halves[row] = both.high - both.mean, alone.high - alone.mean
    return inside.mean(axis=0), np.divide(*halves.mean(axis=0))


def test_interval_covers_the_truth_and_one_over_prompts_alone_is_too_narrow():
    (both, alone), wider = simulated(10, 700, of_runs=0.1, of_prompts=0.2, noise=1.0, resamples=500)
    print(f"\n10 x 700: covers {both:.3f}, over prompts alone {alone:.3f}, {wider:.2f} times wider")
    assert 0.93 <= both <= 0.97
    assert 2.0 <= wider <= 3.2 and alone < 0.7


@pytest.mark.parametrize(("of_runs", "of_prompts", "noise"), [(0.1, 0.5, 1.0), (0.3, 1.0, 1.0)])
def test_interval_of_three_runs_covers_the_truth(of_runs, of_prompts, noise):
    (both, alone), wider = simulated(3, 112, of_runs, of_prompts, noise, resamples=500, simulations=1000)
    print(f"\n3 x 112: covers {both:.3f}, over prompts alone {alone:.3f}, {wider:.2f} times wider")
    assert 0.91 <= both <= 0.97


def test_noise_of_single_scores_counts_once():
    draw = np.random.default_rng(3)
    scores = crossed(draw, 20, 40, 0, 0, 1.0)
    # Without effects of runs or prompts the standard error is that of 800 independent scores.
    assert estimate(scores).se == pytest.approx(1 / math.sqrt(800), rel=0.35)


def test_the_order_of_runs_and_prompts_says_nothing():
    """As many runs as prompts, and each run at odds on a prompt of its own: their draws are independent."""
    draw, own = np.random.default_rng(0), 7 * (np.eye(12) - 1 / 12)
    scores = draw.normal(0, 1, (12, 1)) + draw.normal(0, 1, (1, 12)) + own
    found = [estimate(each).se for each in (scores, scores[::-1], np.roll(scores, 3, axis=0), scores.T)]
    assert max(found) < 1.03 * min(found)


def test_interval_of_equal_prompts_is_students_over_runs():
    runs = np.array([1.0, 2.0, 4.0, 4.5])
    whole = estimate(np.repeat(runs[:, None], 6, axis=1), resamples=40000)
    expected = stats.ttest_1samp(runs, 0)
    low, high = expected.confidence_interval()
    assert (whole.mean, whole.freedom, whole.runs, whole.prompts) == (pytest.approx(2.875), pytest.approx(3), 4, 6)
    assert (whole.low, whole.high) == pytest.approx((low, high), rel=0.1)
    assert whole.p == pytest.approx(expected.pvalue, rel=0.06)


def test_one_run_has_an_interval_over_prompts_alone_and_no_p():
    scores = np.arange(50.0)[None, :]
    alone = estimate(scores, resamples=40000)
    assert alone.over == PROMPTS_ONLY and math.isnan(alone.p) and alone.freedom == 49
    assert alone.se == pytest.approx(scores.std(ddof=1) / math.sqrt(50), rel=0.03)
    assert estimate(np.vstack([scores, scores + 1])).over == TWO_WAY


def test_missing_scores_leave_the_mean_and_empty_runs_and_prompts_are_left_out():
    scores = np.array([[1.0, 2.0, np.nan, np.nan], [3.0, np.nan, np.nan, 6.0], [np.nan] * 4])
    part = estimate(scores)
    assert (part.mean, part.runs, part.prompts, part.over) == (3.0, 2, 3, TWO_WAY)
    assert part.se > 0 and part.low < 3 < part.high
    assert estimate(np.full((2, 3), np.nan)) == NOTHING and math.isnan(NOTHING.low) and math.isnan(NOTHING.p)


def test_a_constant_has_no_width():
    level = estimate(np.full((3, 5), 2.0))
    assert (level.low, level.high, level.p) == (2.0, 2.0, 0.0) and estimate(np.zeros((3, 5))).p == 1.0


def test_equal_seeds_give_equal_estimates():
    scores = crossed(np.random.default_rng(1), 4, 30, 0.3, 0.3, 1.0)
    assert estimate(scores, seed=5) == estimate(scores, seed=5) != estimate(scores, seed=6)


def trials(values, rows=None):
    columns = [f"prompt-{prompt}" for prompt in range(values.shape[1])]
    return pd.DataFrame(values, index=range(len(values)) if rows is None else rows, columns=columns)


def test_paired_difference_is_narrower_than_unpaired():
    draw = np.random.default_rng(2)
    shared = crossed(draw, 6, 100, 0.5, 0.5, 0.0)
    ours, theirs = (trials(shared + shift + draw.normal(0, 0.2, shared.shape)) for shift in (-0.3, 0.0))
    paired = difference(ours, theirs)
    unpaired = math.hypot(*(one.high - one.mean for one in (estimate(ours.to_numpy()), estimate(theirs.to_numpy()))))
    assert paired.mean == pytest.approx(-0.3, abs=0.05) and paired.high < 0 and paired.p < 0.001
    assert paired.high - paired.mean < unpaired / 5


def test_trials_that_one_side_lacks_are_left_out():
    ours = trials(np.array([[1.0, 1.0], [9.0, 9.0], [2.0, 3.0]]), rows=[0, 1, 2])
    theirs = trials(np.array([[2.0, 2.0], [0.0, 1.0]]), rows=[2, 0])
    shared = difference(ours, theirs)
    assert (shared.runs, shared.prompts) == (2, 2) and shared.mean == pytest.approx((1 + 0 + 0 + 1) / 4)
    single = difference(ours, theirs.loc[[2]])
    assert (single.runs, single.over, single.mean) == (1, PROMPTS_ONLY, 0.5)
    assert difference(ours.loc[[1]], theirs) == NOTHING


def test_holm_steps_down_over_the_family_without_missing_ones():
    p = pd.Series([0.01, np.nan, 0.04, 0.03], index=list("abcd"))
    # Of three: 3 x 0.01, 2 x 0.03, and 0.04 is raised to what stands before it.
    assert holm(p).to_dict() == pytest.approx({"a": 0.03, "b": np.nan, "c": 0.06, "d": 0.06}, nan_ok=True)
    assert holm(pd.Series([np.nan])).isna().all()


def test_holm_is_that_of_statsmodels_to_the_bit():
    from statsmodels.stats.multitest import multipletests

    for seed in range(20):
        p = pd.Series(np.random.default_rng(seed).random(seed + 1).round(2) ** 3)
        assert holm(p).tolist() == multipletests(p, method="holm")[1].tolist()


def test_area_is_the_mean_over_log_n():
    assert area_under_curve([10, 100, 1000], [2.0, 2.0, 2.0]) == pytest.approx(2.0)
    # Half of the way falls from 4 to 2, half from 2 to 0.
    assert area_under_curve([10, 100, 1000], [4.0, 2.0, 0.0]) == pytest.approx(2.0)
    assert area_under_curve([10, 100, 10000], [3.0, 0.0, 0.0]) == pytest.approx(0.5)
    assert math.isnan(area_under_curve([10], [1.0]))


def test_half_width_is_students():
    assert Estimate(0.0, 1.0, 2.0, 3, 9, TWO_WAY).high == pytest.approx(4.302653, rel=1e-6)
