"""Cells of one metric share what they know of runs: families are rarely wrong, and rates stay within 0 and 100 %."""

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, t

import ballast
from ballast.results.cells import Cells, centre_of
from ballast.results.contrasts import gains, p_of
from ballast.results.statistics import PROMPTS_ONLY, TWO_WAY, difference, estimate, proportion

SIMULATION = Path(ballast.__file__).parents[2] / "benchmarks" / "intervals.py"


def cells(sd=0.2, runs=3, keys=8, prompts=40, trial=0.0, seed=0, whole=None):
    draw = np.random.default_rng(seed)
    shared = draw.normal(0, trial, (runs, 1))
    tables = {
        key: pd.DataFrame(1 + shared + draw.normal(0, sd, (runs, 1)) + draw.normal(0, 0.1, (runs, prompts)))
        for key in range(keys)
    }
    return Cells(tables, whole)


@pytest.mark.slow
def test_a_family_of_null_differences_is_rarely_wrong_and_power_stays():
    simulation = runpy.run_path(str(SIMULATION))
    made = simulation["normal"]
    alone, together, single, coverage, power, _ = simulation["measured"](60, 5, lambda draw: made(draw, 3, 0.3))
    assert together <= 10 < alone, "5 % is promised; each difference by its own runs is wrong in 27 %"
    assert 3 <= single <= 8 and 90 <= coverage <= 98 and power > 30


@pytest.mark.slow
def test_cells_of_one_run_and_rates_are_rarely_wrong_too():
    simulation = runpy.run_path(str(SIMULATION))
    made = simulation["rates"]
    _, together, _, coverage, *_ = simulation["measured"](40, 5, lambda draw: made(draw, 3, 0.05, 0.02), 0.05)
    assert together <= 10 and coverage >= 90
    *_, coverage, _, _ = simulation["measured"](20, 5, lambda draw: made(draw, 1, 0.02, 0.001), 0.02)
    assert coverage >= 90


def test_runs_that_happen_to_agree_take_the_spread_of_the_others():
    study = cells()
    study[0] = study[0] * 0 + 1.0
    alone, moderated = estimate(study[0].to_numpy()), study.estimate(0)
    assert alone.se == 0 and 0.02 < moderated.se < 0.2
    assert difference(study[0], study[0] * 0 + 0.9).p == 0.0
    assert Cells({0: study[0], 1: study[0] * 0 + 0.9} | {key: study[key] for key in range(2, 8)}).difference(0, 1).p > 0


def test_what_a_trial_does_to_every_cell_is_no_part_of_a_difference():
    """The cells share their seeds: with a large trial effect, differences stay as precise as without."""
    with_effect, without = (cells(sd=0.1, runs=6, trial=trial).difference(0, 1) for trial in (3.0, 0.0))
    assert with_effect.se == pytest.approx(without.se, rel=0.05)
    assert cells(sd=0.1, runs=6, trial=3.0).estimate(0).se > 5 * without.se


def test_a_single_run_has_an_interval_by_the_others_and_no_p():
    study = cells()
    study[0] = study[0].iloc[:1]
    found = study.difference(0, 1)
    assert found.single and found.over == TWO_WAY and found.high > found.mean and np.isnan(p_of(found))
    assert study.estimate(0).over == PROMPTS_ONLY
    two = Cells({0: study[0], 1: study[1].iloc[:1]}).difference(0, 1)
    assert two.over == PROMPTS_ONLY and not two.single


def test_two_cells_know_nothing_of_each_other():
    two = cells(keys=2)
    assert two.difference(0, 1) == difference(two[0], two[1])


def test_cells_that_never_differ_from_run_to_run_have_no_centre():
    assert centre_of(np.zeros(8), np.full(8, 2.0)) is None
    level = Cells({key: pd.DataFrame(np.full((3, 4), 1.0)) for key in range(8)})
    assert level.estimate(0).se == 0


def test_equal_variances_are_taken_for_known_and_different_ones_count_for_little():
    equal = centre_of(np.full(20, 2.0), np.full(20, 2.0))
    assert equal.freedom > 1000
    different = centre_of(np.geomspace(1e-4, 1e4, 20), np.full(20, 9.0))
    assert different.freedom < 2


def test_gains_are_paired_and_ordered_by_adjusted_p():
    draw = np.random.default_rng(1)
    base = draw.normal(0, 1, (5, 60))
    study = Cells(
        {(name, 10): pd.DataFrame(base + shift + draw.normal(0, 0.1, (5, 60))) for name, shift in SHIFTS.items()}
    )
    found = gains(study)
    assert [row.sampler for row in found if row.lower] == ["sss-b", "sss"]
    assert [row.p_holm for row in found] == sorted(row.p_holm for row in found)
    assert {row.sampler for row in found} == {"sss-b", "sss", "pss", "cossim"}, "Random and references are no gain"


SHIFTS = {"random": 0.0, "none": 5.0, "sss-b": -2.0, "sss": -1.0, "pss": 0.0, "cossim": 1.0}


@given(st.integers(1, 300), st.data())
def test_one_run_of_a_rate_has_wilsons_interval(prompts, data):
    hits = data.draw(st.integers(0, prompts))
    scores = np.array([[100.0] * hits + [0.0] * (prompts - hits)])
    found = estimate(scores, resamples=10, whole=100.0)
    exact = binomtest(hits, prompts).proportion_ci(method="wilson")
    assert (found.low, found.high) == pytest.approx((100 * exact.low, 100 * exact.high), abs=1e-6)


@given(st.floats(0, 1), st.floats(0, 0.5), st.floats(0.5, 1e6), st.integers(1, 1000))
def test_an_interval_of_a_rate_is_within_0_and_100_and_has_a_width(share, se, freedom, prompts):
    mean, se = round(100 * share, 6), round(100 * se, 6)
    low, high = proportion(mean, se, freedom, prompts, 100.0)
    assert 0 <= low <= mean <= high <= 100 and high > low


def test_none_of_many_in_three_runs_is_no_certainty():
    study = Cells({key: pd.DataFrame(np.zeros((3, 112))) for key in range(3)}, whole=100.0)
    found = study.estimate(0)
    assert (found.mean, found.low) == (0.0, 0.0) and found.high == pytest.approx(100 * 3.3168e-2, rel=1e-3)
    mixed = Cells(
        study | {key: pd.DataFrame(100.0 * (np.random.default_rng(key).random((3, 112)) < 0.2)) for key in (3, 4, 5)},
        100.0,
    )
    assert 0 < mixed.estimate(0).high < 8
    between = mixed.difference(0, 3)
    assert -100 <= between.low < between.high <= 100 and between.high < 0


def test_none_or_all_is_no_more_certain_than_the_prompts_allow():
    """Wilson's end at 0 of 50 is t^2 / (50 + t^2), however little other cells differ from run to run."""
    square = t.isf(0.025, 9) ** 2
    end = pytest.approx(100 * square / (50 + square))
    for se in (1e-6, 1e-2):
        assert proportion(0.0, se, 9.0, 50, 100.0) == (0.0, end)
        assert 100 - proportion(100.0, se, 9.0, 50, 100.0)[0] == end


def test_a_difference_of_rates_ends_at_100_points():
    draw = np.random.default_rng(0)
    table = lambda share: pd.DataFrame(100.0 * (draw.random((2, 3)) < share))  # noqa: E731
    study = Cells({0: table(1.0), 1: table(0.0)} | {key: table(0.5) for key in range(2, 6)}, 100.0)
    found = study.difference(0, 1)
    assert found.mean == 100 and found.high == 100


def test_several_comparisons_widen_an_interval():
    found = cells().estimate(0)
    low, high = found.interval(21)
    assert low < found.low < found.high < high
    rate = estimate(np.zeros((1, 50)), whole=1.0)
    assert rate.interval(21)[1] > rate.high > 0
