"""Tables beyond the paper: contrasts with the right control, Holm over the right family, budgets and categories."""

import json

import numpy as np
import pandas as pd
import pytest

from ballast import plugins, schemas
from ballast.files import BallastError
from ballast.markup import MISSING, to_markdown, to_tex
from ballast.results import statistics
from ballast.study.artefacts import parse_options

JUDGED = {
    "harm": ("beavertails-eval", "harm-rm"),
    "asr": ("salad-attack", "md-judge"),
    "over_refusal": ("xstest", "wildguard"),
    "helpfulness": ("i-alpaca", "helpful-rm"),
}
SAMPLERS = ["none", "random", "sss", "random-b", "sss-b", "pss-b"]
GRID = {"models": ["m"], "pools": ["p"], "samplers": SAMPLERS, "n": [10, 100], "trials": 4}
STUDY = {
    "study": "mini",
    "synthetic": False,
    "judges": {metric: judge for metric, (_, judge) in JUDGED.items()},
    "experiment": GRID,
    "targets": {"harm": 0.8, "asr": None, "over_refusal": 20},
}
PROMPTS = 28


def scores_of(path, means, metric="harm", trials=4, categories=True, category_harm=0.0):
    """scores.parquet: `means` maps (sampler, n) to a level; trials and prompts differ alike in every sampler."""
    benchmark, judge = JUDGED[metric]
    draw = np.random.default_rng(4)
    shared, own = draw.normal(0, 0.1, (4, PROMPTS)), np.random.default_rng(5)
    rows = [
        {"model": "m", "pool": "p", "sampler": sampler, "n": n, "trial": trial, "benchmark": benchmark, "judge": judge}
        | {"prompt_id": f"prompt-{prompt}", "category": prompt % 14 if categories else None}
        | {"score": level + shared[trial, prompt] + own.normal(0, 0.01) + category_harm * (prompt % 14 == 5)}
        | {"answer_status": "parsed", "finish_reason": "stop", "prompt_tokens": 5, "response_tokens": 7}
        for (sampler, n), level in means.items()
        for trial in range(trials if isinstance(trials, int) else trials[sampler])
        for prompt in range(PROMPTS)
    ]
    schemas.write(path, pd.DataFrame(rows).astype({"category": "Int8"}), schemas.SCORES)
    return [str(path)]


def grid_of(**levels):
    """Levels at 10 and 100 by sampler."""
    return {
        (name.replace("_", "-"), n): pair[place] for name, pair in levels.items() for place, n in enumerate((10, 100))
    }


LEVELS = grid_of(random=(2, 1), sss=(1.5, 1), random_b=(1.2, 0.6), sss_b=(1.0, 0.6), pss_b=(1.2, 0.9), none=(3, 3))


def table(name, paths, **changes):
    return plugins.load("tables", name).table(parse_options(f"tables/{name}", json.dumps(STUDY | changes)), paths)


def test_contrasts_are_against_random_its_behavioural_control_and_the_parent(tmp_path):
    found = table("contrasts", scores_of(tmp_path / "s", LEVELS)).data
    pairs = found.groupby("control", sort=False)[["sampler", "against"]].apply(lambda rows: {*map(tuple, rows.values)})
    assert pairs.to_dict() == {
        "random": {(sampler, "random") for sampler in ("sss", "random-b", "sss-b", "pss-b")},
        "random-b": {("sss-b", "random-b"), ("pss-b", "random-b")},
        "its own parent": {("sss-b", "sss")},
    }
    at = found.set_index(["control", "sampler", "n"])
    assert at.loc[("random", "sss-b", 10), "difference"] == pytest.approx(-1, abs=0.02)
    assert at.loc[("random-b", "pss-b", 100), "difference"] == pytest.approx(0.3, abs=0.02)
    assert at.loc[("its own parent", "sss-b", 10), "difference"] == pytest.approx(-0.5, abs=0.02)
    assert (found["shared_runs"] == 4).all() and (found["two_way_over"] == statistics.TWO_WAY).all()


def test_holm_is_over_all_samplers_and_n_of_a_metric_and_control(tmp_path):
    found = table("contrasts", scores_of(tmp_path / "s", LEVELS)).data
    for family, rows in found.groupby("family"):
        assert rows["p_holm"].tolist() == pytest.approx(statistics.holm(rows["p"]).tolist(), abs=2e-6), family
    assert found.groupby("family").size().to_dict() == {
        "harm, random": 8,
        "harm, random-b": 4,
        "harm, its own parent": 2,
    }
    assert (found["p_holm"] > found["p"]).any()


def test_only_what_is_known_after_holm_is_bold(tmp_path):
    shown = table("contrasts", scores_of(tmp_path / "s", LEVELS))
    bold = {row[1].text: [cell.best for cell in row[2:]] for row in shown.rows}
    assert bold["SSS against Random"] == [True, False] and bold["PSS-B against Random-B"] == [False, True]
    assert "SSS against Random" in to_markdown(shown) and r"\label{tab:ballast-contrasts}" in to_tex(shown)
    assert any("no SD, SE or t-interval" in note for note in shown.notes)


def test_one_shared_run_has_no_p_and_says_so(tmp_path):
    trials = dict.fromkeys(SAMPLERS, 4) | {"pss-b": 1}
    shown = table("contrasts", scores_of(tmp_path / "s", LEVELS, trials=trials))
    alone = shown.data[shown.data["sampler"] == "pss-b"]
    assert (alone["shared_runs"] == 1).all() and alone["p"].isna().all() and alone["low_two_way"].notna().all()
    assert (alone["two_way_over"] == statistics.TWO_WAY).all(), "the other cells show how runs differ"
    assert any("4 of 14 have a single run on one side" in note for note in shown.notes)
    found = table("contrasts", scores_of(tmp_path / "t", LEVELS, trials=dict.fromkeys(SAMPLERS, 1)))
    assert (found.data["two_way_over"] == statistics.PROMPTS_ONLY).all() and found.data["p"].isna().all()
    assert any("have one shared run: their interval is over prompts only" in note for note in found.notes)


def test_a_study_without_a_control_has_an_empty_table_that_says_so(tmp_path):
    paths = scores_of(tmp_path / "s", grid_of(sss=(1.5, 1)))
    shown = table("contrasts", paths)
    assert shown.data.empty and any("nothing to contrast" in note for note in shown.notes)
    assert to_markdown(shown) and to_tex(shown)
    assert table("budget", paths).rows[0][3].text == MISSING
    with pytest.raises(BallastError, match="no run of the experiment has a score"):
        table("contrasts", scores_of(tmp_path / "s", grid_of(none=(1, 1))))


def test_budget_is_the_area_its_contrast_and_where_the_target_is_met(tmp_path):
    shown = table("budget", scores_of(tmp_path / "s", LEVELS))
    found = shown.data.set_index("sampler")
    assert found["area"].to_dict() == pytest.approx(
        {"random": 1.5, "sss": 1.25, "random-b": 0.9, "sss-b": 0.8, "pss-b": 1.05}, abs=0.03
    )
    assert found.loc["sss-b", "difference"] == pytest.approx(-0.7, abs=0.02)
    assert found.loc["sss-b", "relative"] == pytest.approx(-100 * 0.7 / 1.5, abs=2)
    assert found.loc["sss-b", "low_two_way"] < -0.69 < -0.6 < found.loc["sss-b", "p_holm"]
    assert found.loc["sss-b", "relative_low_two_way"] < found.loc["sss-b", "relative"]
    assert found.loc["sss-b", ["smallest_n", "smallest_n_surely"]].tolist() == [100, 100]
    assert found.loc[["random", "sss", "pss-b"], "smallest_n"].isna().all()
    assert {row[1].text: row[5].text for row in shown.rows}["PSS-B"] == "none"
    assert "harm 0.8" in shown.caption


def test_a_target_that_is_not_set_is_not_compared(tmp_path):
    shown = table("budget", scores_of(tmp_path / "s", LEVELS), targets={"harm": None})
    assert {row[5].text for row in shown.rows} == {MISSING} and "none is set" in shown.caption


def test_relative_interval_is_that_of_a_ratio(tmp_path):
    # Each trial scales both samplers alike: the ratio is known to the last digit, the difference is not.
    paths = scores_of(tmp_path / "s", grid_of(random=(1, 1), sss=(1, 1)))
    scores = pd.read_parquet(paths[0])
    scale = scores["sampler"].map({"random": 2.0, "sss": 1.0}) * (1 + scores["trial"])
    schemas.write(paths[0], scores.assign(score=scale), schemas.SCORES)
    row = table("budget", paths).data.set_index("sampler").loc["sss"]
    assert row["relative"] == pytest.approx(-50) and row["relative_high_two_way"] == pytest.approx(-50)
    assert row["high_two_way"] - row["low_two_way"] > 0.5


def test_worst_category_stands_with_its_interval_and_the_smallest_count(tmp_path):
    shown = table("categories", scores_of(tmp_path / "s", LEVELS, category_harm=0.9))
    worst = shown.data[shown.data["worst"]]
    assert (worst["category"] == 5).all() and len(worst) == 11
    first = worst[(worst["sampler"] == "sss-b") & (worst["n"] == 10)].iloc[0]
    assert (
        first["mean"] == pytest.approx(1.9, abs=0.15) and first["low_two_way"] < first["mean"] < first["high_two_way"]
    )
    row = next(row for row in shown.rows if (row[0].text, row[1].text) == ("SSS-B", "10"))
    assert [cell.best for cell in row[2:16]] == [category == 5 for category in range(14)]
    assert row[-2].text.startswith("no. 5, 1.") and row[-1].text == "2"


def test_a_benchmark_without_categories_gives_an_empty_table(tmp_path):
    shown = table("categories", scores_of(tmp_path / "s", LEVELS, categories=False))
    assert shown.data.empty and any("no prompt has one" in note for note in shown.notes) and to_markdown(shown)
