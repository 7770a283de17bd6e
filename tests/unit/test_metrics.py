"""Metrics: means, intervals and counts against values worked out by hand; missing scores stay missing."""

import math

import pandas as pd
import pytest

from ballast import schemas
from ballast.files import BallastError
from ballast.results import metrics, notes
from ballast.results.metrics import METRICS
from ballast.study.artefacts import OTHERS, Experiment, names, options_for, parse_options

NAN = float("nan")


def rows_of(sampler, n, trial, scores, model="m", pool="p", benchmark="beavertails-eval", judge="harm-rm", cut=0):
    """Rows of one run; the first `cut` responses ran to the length limit."""
    return pd.DataFrame(
        {
            "model": model,
            "pool": pool,
            "sampler": sampler,
            "n": n,
            "trial": trial,
            "benchmark": benchmark,
            "judge": judge,
            "prompt_id": [f"prompt-{row}" for row in range(len(scores))],
            "category": pd.array([0] * len(scores), dtype="Int8"),
            "score": [float(score) for score in scores],
            "answer_status": ["unparsable" if math.isnan(score) else "parsed" for score in scores],
            "finish_reason": ["length" if row < cut else "stop" for row in range(len(scores))],
            "prompt_tokens": 5,
            "response_tokens": 7,
        }
    )


def experiment(**changes):
    return Experiment(**{"models": ("m",), "pools": ("p",), "samplers": ("random",), "n": (4,), "trials": 9} | changes)


def test_missing_score_is_counted_and_not_zero():
    runs = metrics.run_values(rows_of("random", 4, 0, [1, 3, NAN, NAN], cut=3), METRICS["harm"], "harm-rm")
    assert runs.to_dict("records") == [
        {"model": "m", "pool": "p", "sampler": "random", "n": 4, "trial": 0}
        | {"value": 2.0, "judged": 2, "unparsable": 2, "too_long": 0, "truncated": 3}
    ]


def test_a_pair_too_long_for_the_judge_is_told_from_an_unreadable_answer():
    scores = rows_of("random", 4, 0, [1, 3, NAN, NAN, NAN])
    scores["answer_status"] = scores["answer_status"].mask(scores.index == scores.index[-1], "too long")
    runs = metrics.run_values(scores, METRICS["harm"], "harm-rm")
    assert (runs["judged"][0], runs["unparsable"][0], runs["too_long"][0]) == (2, 2, 1)
    said = notes.counts(runs)
    assert "2 of 4 judge answers could not be parsed" in said and "1 more pairs were too long" in said


def test_unfinished_reasoning_counts_with_the_pairs_that_were_not_asked():
    scores = rows_of("random", 4, 0, [1, 3, NAN, NAN])
    scores["answer_status"] = ["parsed", "parsed", "no answer", "too long"]
    runs = metrics.run_values(scores, METRICS["harm"], "harm-rm")
    assert (runs["judged"][0], runs["unparsable"][0], runs["too_long"][0]) == (2, 0, 2)


def test_higher_is_better_for_helpfulness_alone():
    assert [name for name, metric in METRICS.items() if metric.direction != "lower"] == ["helpfulness"]
    assert METRICS["helpfulness"].direction == "higher"


def test_run_without_any_parsed_score_has_no_value_and_no_vote():
    scores = pd.concat([rows_of("random", 4, 0, [2, 2]), rows_of("random", 4, 1, [NAN, NAN])])
    cell = metrics.cells(metrics.run_values(scores, METRICS["harm"], "harm-rm"), METRICS["harm"]).iloc[0]
    assert (cell["mean"], cell["trials"], cell["judged"], cell["unparsable"]) == (2.0, 1, 2, 2)
    assert math.isnan(cell["low_t"])


def test_rate_is_a_percentage_of_one_judge_on_one_benchmark():
    scores = pd.concat(
        [
            rows_of("random", 4, 0, [1, 0, 0, 0], benchmark="salad-attack", judge="md-judge"),
            rows_of("random", 4, 0, [1, 1, 1, 1], benchmark="salad-attack", judge="refusal-string"),
            rows_of("random", 4, 0, [1, 1, 1, 1], benchmark="salad-base", judge="md-judge"),
        ]
    )
    assert metrics.run_values(scores, METRICS["asr"], "md-judge")["value"].tolist() == [25.0]
    assert metrics.run_values(scores, METRICS["asr"], "md-judge", "salad-base")["value"].tolist() == [100.0]


def test_interval_is_students_over_runs():
    scores = pd.concat([rows_of("random", 4, trial, [value]) for trial, value in enumerate([1.0, 2.0, 3.0])])
    cell = metrics.cells(metrics.run_values(scores, METRICS["harm"], "harm-rm"), METRICS["harm"]).iloc[0]
    # Tables of Student's t: 4.3027 for 2 degrees of freedom and 95 %, two-sided; sd 1, over 3 runs.
    half = 4.302653 * 1 / math.sqrt(3)
    assert cell["mean"] == 2.0 and cell["sd"] == 1.0 and cell["trials"] == 3
    assert (cell["low_t"], cell["high_t"]) == pytest.approx((2 - half, 2 + half), rel=1e-6)


def test_interval_ignores_how_many_prompts_a_run_has():
    few = pd.concat([rows_of("random", 4, trial, [trial] * 2) for trial in range(3)])
    many = pd.concat([rows_of("random", 4, trial, [trial] * 50) for trial in range(3)])
    runs = [metrics.run_values(scores, METRICS["harm"], "harm-rm") for scores in (few, many)]
    ends = [metrics.cells(one, METRICS["harm"])["high_t"][0] for one in runs]
    assert ends[0] == ends[1] > 1


def test_experiment_keeps_its_own_runs_and_its_references():
    scores = pd.concat(
        [
            *(rows_of("random", 4, trial, [1]) for trial in range(3)),
            rows_of("random", 8, 0, [1]),
            rows_of("sss", 4, 0, [1]),
            rows_of("random", 4, 0, [1], pool="other"),
            rows_of("random", 4, 0, [1], model="other"),
            rows_of("none", 0, 0, [2]),
            rows_of("none", 0, 0, [2], pool="other"),
            rows_of("as-is", 0, 0, [3], pool="-"),
        ]
    )
    runs = metrics.run_values(scores, METRICS["harm"], "harm-rm")
    kept = metrics.of_experiment(runs, experiment(trials=2))
    assert set(map(tuple, kept[["sampler", "pool", "n", "trial"]].to_numpy())) == {
        ("as-is", "-", 0, 0),
        ("none", "p", 0, 0),
        ("random", "p", 4, 0),
        ("random", "p", 4, 1),
    }
    assert len(kept) == 4


def test_base_data_alone_counts_once_over_two_pools():
    scores = pd.concat([rows_of("none", 0, 0, [2]), rows_of("none", 0, 0, [5], pool="q")])
    runs = metrics.run_values(scores, METRICS["harm"], "harm-rm")
    for pools, value in ((("p", "q"), 2.0), (("q", "p"), 5.0)):
        assert metrics.of_experiment(runs, experiment(pools=pools))["value"].tolist() == [value]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: pd.concat([table, table]), "not unique"),
        (lambda table: table.assign(score=NAN), "row 0: the score and its answer_status disagree"),
        (lambda table: table.drop(columns="judge"), "judge"),
    ],
)
def test_scores_that_break_their_schema_are_refused(tmp_path, change, message):
    path = str(tmp_path / "scores.parquet")
    change(rows_of("random", 4, 0, [1, 2])).to_parquet(path, index=False)
    with pytest.raises(BallastError, match=message) as error:
        metrics.read_scores(path)
    assert "scores.parquet" in str(error.value)


def test_scores_are_read_as_written(tmp_path):
    table = rows_of("random", 4, 0, [1, NAN])
    schemas.write(tmp_path / "scores.parquet", table[list(schemas.SCORES.columns)], schemas.SCORES)
    assert metrics.read_scores(str(tmp_path / "scores.parquet"))["score"].isna().tolist() == [False, True]


GRID = {"models": ["m"], "pools": ["p"], "samplers": ["random"], "n": [4], "trials": 3}
EVERYTHING = {
    "others": {"gsm8k": {"benchmark": "gsm8k", "judge": "exact-match"}},
    "measured": {"harm": {"benchmark": "beavertails-eval", "judge": "harm-rm"}},
    "study": "mini",
    "synthetic": True,
    "redact": True,
    "judges": {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard", "helpfulness": "helpful-rm"},
    "labellers": {"behaviour": "wildguard"},
    "stand_ins": {"harm-rm": "A stand-in for harm.", "md-judge": "A stand-in for attacks."},
    "model_labels": {"m": "Model M", "other": "Other"},
    "published": {"m": "mistral-7b", "other": "llama-2-7b"},
    "experiment": GRID,
}


def test_an_artefact_gets_only_what_it_uses():
    harm = options_for("tables/table1", EVERYTHING)
    assert harm["judges"] == {"harm": "harm-rm"} and harm["stand_ins"] == {"harm-rm": "A stand-in for harm."}
    assert harm["model_labels"] == {"m": "Model M"} and "redact" not in harm and "labellers" not in harm
    assert "published" not in harm and options_for("comparison-1", EVERYTHING)["published"] == {"m": "mistral-7b"}
    assert set(options_for("figures/figure5", EVERYTHING)) == {"study", "synthetic", "labellers", "stand_ins"}
    for artefact in (*names("tables"), *names("figures"), *OTHERS):
        part = options_for(artefact, EVERYTHING)
        assert options_for(artefact, part) == part


@pytest.mark.parametrize(
    ("artefact", "changes", "message"),
    [
        ("tables/table1", {"judges": {"asr": "md-judge"}}, "'harm' is missing"),
        ("tables/table1", {"experiment": GRID | {"models": ["m", "other"]}}, "one value of 'models', not m, other"),
        ("figures/figure2", {"experiment": GRID | {"n": [4, 8]}}, "one value of 'n', not 4, 8"),
        (
            "figures/figure4",
            {"experiment": GRID | {"samplers": []}},
            "'samplers' must be a list with at least one value",
        ),
        ("headline", {"experiment": GRID | {"trials": 0}}, "'trials' must be a whole number"),
    ],
)
def test_options_that_do_not_fit_say_so(artefact, changes, message):
    with pytest.raises(BallastError, match=message) as error:
        options_for(artefact, EVERYTHING | changes)
    assert str(error.value).startswith(artefact)


def test_options_that_are_not_json_say_where():
    with pytest.raises(BallastError, match="character 1"):
        parse_options("tables/table1", "{study}")
