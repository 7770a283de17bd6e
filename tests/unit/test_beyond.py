"""All methods at equal n and at equal over-refusal: read off by hand, never extrapolated, and said plainly."""

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection

from ballast import schemas
from ballast.figures import beyond as beyond_figure
from ballast.files import BallastError
from ballast.markup import to_markdown, to_tex
from ballast.results import statistics, style
from ballast.results.all_methods import compared
from ballast.study.artefacts import parse_options
from ballast.tables import beyond
from ballast.tables.beyond import verdict

JUDGED = {
    "harm": ("beavertails-eval", "harm-rm", 1),
    "asr": ("salad-attack", "md-judge", 100),
    "over_refusal": ("xstest", "wildguard", 100),
    "helpfulness": ("i-alpaca", "helpful-rm", 1),
}
# Harm and over-refusal in % at 10, 20 and 40.
LEVELS = {
    "random": [(2.0, 1), (1.8, 2), (1.4, 4)],
    "random-b": [(1.6, 4), (1.0, 8), (0.6, 12)],  # the level is 8 %, where its harm is 1.0
    "careful": [(1.5, 2), (1.2, 4), (0.8, 12)],  # 8 % is halfway between 20 and 40: harm 1.0
    "blunt": [(0.9, 12), (0.5, 20), (0.2, 40)],  # refuses more at every n
    "timid": [(2.0, 0), (1.9, 1), (1.8, 3)],  # never refuses as much
    "better": [(1.2, 2), (0.6, 6), (0.2, 10)],  # 8 % halfway: 0.4
}
SIZES = [10, 20, 40]
GRID = {"models": ["m"], "pools": ["p"], "samplers": ["none", *LEVELS], "n": SIZES, "trials": 4}
STUDY = {
    "study": "made",
    "synthetic": True,
    "judges": {metric: judge for metric, (_, judge, _) in JUDGED.items()},
    "experiment": GRID,
}
PROMPTS = 30


def scores_of(path, levels=LEVELS, trials=4, noise=0.02, sizes=SIZES):
    """scores.parquet: trials and prompts differ alike in every method, and each score a little of its own."""
    cells = {(name, n): pair for name, pairs in levels.items() for n, pair in zip(sizes, pairs, strict=True)}
    cells |= {("none", 0): (3.0, 0)}
    draw, own, rows = np.random.default_rng(1), np.random.default_rng(2), []
    shared = {metric: draw.normal(0, noise, (4, PROMPTS)) for metric in JUDGED}
    shared = {metric: values - values[:trials].mean() for metric, values in shared.items()}
    for metric, (benchmark, judge, factor) in JUDGED.items():
        for (name, n), (harm, refusal) in cells.items():
            level = {"harm": harm, "asr": 10 * harm, "over_refusal": refusal, "helpfulness": 2.0}[metric] / factor
            jitter = own.normal(0, noise / 10, (trials, PROMPTS))
            off = shared[metric][:trials] / (10 if factor > 1 else 1) + (jitter - jitter.mean()) / factor
            rows += [
                {"model": "m", "pool": "p", "sampler": name, "n": n, "trial": trial, "benchmark": benchmark}
                | {
                    "judge": judge,
                    "prompt_id": f"prompt-{prompt}",
                    "category": None,
                    "score": level + off[trial, prompt],
                }
                for trial in range(trials)
                for prompt in range(PROMPTS)
            ]
    table = pd.DataFrame(rows).assign(answer_status="parsed", finish_reason="stop", prompt_tokens=5, response_tokens=7)
    schemas.write(path, table.astype({"category": "Int8"}), schemas.SCORES)
    return [str(path)]


def options(**changes):
    return parse_options("tables/beyond", json.dumps(STUDY | {"experiment": GRID | changes}))


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return scores_of(tmp_path_factory.mktemp("scores") / "scores.parquet")


@pytest.fixture(scope="module")
def data(paths):
    return compared(options(), paths)


def row(data, kind, sampler, n=None):
    found = data[(data["row"] == kind) & (data["sampler"] == sampler) & (data["metric"] == "harm")]
    return (found if n is None else found[found["n"] == n]).iloc[0]


def test_at_equal_n_a_method_stands_against_random_and_against_base_data_alone(data):
    assert row(data, "mean", "careful", 20)["value"] == pytest.approx(1.2)
    assert row(data, "minus random", "careful", 20)["value"] == pytest.approx(-0.6)
    assert row(data, "minus none", "careful", 40)["value"] == pytest.approx(-2.2)
    assert data[data["row"] == "minus random"].groupby("metric")["sampler"].nunique().eq(len(LEVELS) - 1).all()


def test_at_equal_over_refusal_harm_is_read_off_the_line_between_two_n(data):
    careful, better = (row(data, "at equal over-refusal", name) for name in ("careful", "better"))
    assert (careful["against"], careful["met"]) == ("random-b", 1)
    assert careful["level"] == pytest.approx(8, abs=0.05)
    assert careful["value"] == pytest.approx(0.0, abs=0.005) and better["value"] == pytest.approx(-0.6, abs=0.005)
    assert careful["low_two_way"] < 0 < careful["high_two_way"] and better["high_two_way"] < 0
    assert (careful["least"], careful["most"]) == (pytest.approx(2, abs=0.1), pytest.approx(12, abs=0.1))


def test_nothing_is_extrapolated(data, paths):
    for name in ("blunt", "timid", "random"):
        found = row(data, "at equal over-refusal", name)
        assert np.isnan(found["value"]) and np.isnan(found["low_two_way"]) and found["met"] == 0
    shown = beyond.table(options(), paths)
    cells = {line[0].text: line[-1].text for line in shown.rows}
    assert cells["timid"] == "— [0.0 to 3.0 %]" and cells["blunt"] == "— [12.0 to 40.0 %]"
    assert cells["Random-B"] == "—" and cells["better"].startswith("-0.60 ± ")


def test_the_verdict_names_each_method_once_a_comparison(data):
    said = verdict(data, 20)
    first, second = said.split(" Where ")
    assert "less, after Holm's adjustment too: Random-B, careful, blunt, better" in first
    assert "more: timid" in first
    assert "less, after Holm's adjustment too: better" in second
    assert "not better, since the interval includes 0: careful" in second
    assert "not compared, since no two of its n enclose it: Random, blunt, timid" in second


def test_the_path_is_met_last_and_ties_are_met():
    values, costs = [np.array([value]) for value in (3.0, 2.0, 1.0, 0.0)], [np.array([c]) for c in (0.0, 4.0, 2.0, 6.0)]
    assert statistics._where_met(values, costs, np.array([3.0])) == pytest.approx(0.75)
    assert statistics._where_met(values, costs, np.array([6.0])) == 0.0
    assert np.isnan(statistics._where_met(values, costs, np.array([7.0]))).all()
    flat = [np.array([4.0])] * 2
    assert statistics._where_met(values[:2], flat, np.array([4.0])) == 2.0
    assert statistics._where_met(values[:1], flat[:1], np.array([4.0])) == 3.0


def tables_of(values):
    return [pd.DataFrame(value) for value in values]


def test_an_interval_at_equal_cost_is_that_of_a_difference_where_the_path_is_flat():
    draw = np.random.default_rng(3)
    ours, theirs = (draw.normal(level, 0.2, (5, 40)) for level in (1.0, 1.5))
    costs = tables_of([np.full((5, 40), 1.0), np.full((5, 40), 3.0)])
    control = tables_of([theirs]), tables_of([np.full((5, 40), 2.0)])
    found, met = statistics.at_equal_cost(tables_of([ours, ours]), costs, *control)
    plain = statistics.difference(pd.DataFrame(ours), pd.DataFrame(theirs))
    assert met == 1 and found.mean == pytest.approx(plain.mean) and found.high == pytest.approx(plain.high, rel=1e-6)


def test_the_interval_at_equal_cost_holds_the_truth():
    # One falls from 2 to 1 while its cost rises from 0 to 4, the control from 1.7 to 1.3 while it rises from 1 to 3.
    held, draw = [], np.random.default_rng(0)
    for _ in range(150):
        values = np.array([2.0, 1.0, 1.7, 1.3])[:, None, None] + draw.normal(0, 0.1, (4, 4, 1))
        values = tables_of(values + draw.normal(0, 0.2, (1, 1, 60)) + draw.normal(0, 0.3, (4, 4, 60)))
        costs = np.array([0.0, 4.0, 1.0, 3.0])[:, None, None] + draw.normal(0, 0.4, (4, 4, 1))
        costs = tables_of(costs + draw.normal(0, 1, (4, 4, 60)))
        found, met = statistics.at_equal_cost(values[:2], costs[:2], values[2:], costs[2:], resamples=300)
        assert met > 0.9
        held.append(found.low <= 0 <= found.high)
    assert np.mean(held) >= 0.9


def test_prompts_of_two_benchmarks_are_drawn_apart_and_runs_together(monkeypatch):
    drawn, real = {}, statistics.resampled

    def watched(values, seed, resamples, prompt_seed):
        found = drawn[len(drawn)] = real(values, seed, resamples, prompt_seed)
        return found

    monkeypatch.setattr(statistics, "resampled", watched)
    same = tables_of([np.arange(24.0).reshape(4, 6)])
    statistics.at_equal_cost(same, same, same, same)
    value, _, cost, _ = drawn.values()
    assert (value.by_run == cost.by_run).all() and abs(np.corrcoef(value.by_prompt, cost.by_prompt)[0, 1]) < 0.1


def test_a_level_that_few_draws_meet_has_no_interval():
    draw = np.random.default_rng(0)
    costs = draw.normal(0, 3, (3, 4, 20)) + np.array([0.0, 4.0, 4.0])[:, None, None]
    costs += np.array([0, 0, -1e-3 - (costs[2].mean() - costs[1].mean())])[:, None, None]
    *paid, cost = tables_of(costs)
    *path, value = tables_of(draw.normal(1, 0.1, (3, 4, 20)))
    found, met = statistics.at_equal_cost(path, paid, [value], [cost])
    assert 0.1 < met < statistics.MET and not np.isnan(found.mean) and np.isnan(found.low) and np.isnan(found.p)


def test_one_run_says_nothing_of_the_next(tmp_path):
    alone = compared(options(), scores_of(tmp_path / "s", trials=1))
    assert "less" not in verdict(alone, 20) and "unknown, for want of an interval: " in verdict(alone, 20)


def test_a_study_without_a_control_has_no_comparison_and_says_so(tmp_path):
    levels = {name: LEVELS[name] for name in ("careful", "better")}
    shown = beyond.table(options(), scores_of(tmp_path / "s", levels))
    assert set(shown.data["row"]) == {"mean", "minus none"}
    assert shown.notes[0] == "There is no Random to compare with."
    assert any("no second method beside Random-B or Random" in note for note in shown.notes)
    with pytest.raises(BallastError, match="no run of the experiment has a score"):
        beyond.table(options(), scores_of(tmp_path / "s", {}))


def test_without_random_b_the_level_is_that_of_random(tmp_path):
    levels = {name: LEVELS[name] for name in ("random", "careful")}
    # Random's level is 2.5 %: harm 1.7 on its second line; careful's first line has 1.425 there.
    found = row(compared(options(), scores_of(tmp_path / "s", levels)), "at equal over-refusal", "careful")
    assert found["against"] == "random" and found["value"] == pytest.approx(1.425 - 1.7, abs=0.02)


def test_rows_stand_as_the_config_lists_them_whatever_the_order_of_scores(tmp_path, paths):
    shown = beyond.table(options(), paths)
    names = [line[0].text for line in shown.rows]
    assert names == ["No safety data", "Random Sampling (Baseline)", "Random-B", "careful", "blunt", "timid", "better"]
    mixed = str(tmp_path / "mixed")
    schemas.write(mixed, pd.read_parquet(paths[0]).sample(frac=1, random_state=0), schemas.SCORES)
    again = beyond.table(options(), [mixed])
    assert to_markdown(again) == to_markdown(shown) and again.data.equals(shown.data)
    assert r"\label{tab:ballast-beyond}" in to_tex(shown) and "synthetic study" in to_markdown(shown)


def test_the_figure_has_a_row_a_method_and_marks_only_what_is_met(paths):
    part = parse_options("figures/beyond", json.dumps(STUDY))
    with style.styled():
        drawn = beyond_figure.draw(part, paths)
    left, right = drawn.figure.get_axes()
    assert [label.get_text() for label in left.get_yticklabels()] == ["Random-B", "careful", "blunt", "timid", "better"]
    marks = [[one for one in axis.collections if isinstance(one, PathCollection)] for axis in (left, right)]
    assert [len(found) for found in marks] == [3 * (len(LEVELS) - 1), 2]
    assert drawn.data["row"].unique().tolist() == ["minus random", "at equal over-refusal"]
