"""Signatures of trouble: each check fires where its trouble is, not where it is not, and says what it cannot tell."""

import json
import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ballast
from ballast import schemas
from ballast.files import write_csv, write_json
from ballast.results import findings, label_quality, outliers, signatures
from ballast.results.cells import Cells
from ballast.results.findings import FINE, LOOK, UNDECIDED, Finding
from ballast.results.outliers import LOSS, REFUSAL
from ballast.results.power import trials_for

SCRIPTS = Path(ballast.__file__).parents[1]
PROMPTS = 28


def cell(mean, trials=4, spread=0.05, seed=0, prompts=PROMPTS):
    """Trials x prompts around a mean; `spread` is the SD of runs."""
    draw = np.random.default_rng(seed)
    runs = mean + spread * draw.standard_normal((trials, 1))
    columns = [f"prompt-{number}" for number in range(prompts)]
    return pd.DataFrame(runs + 0.1 * draw.standard_normal((trials, prompts)), columns=columns)


def harm(gain=0.5, **look):
    """Random and one sampler at two n."""
    return Cells(
        {
            (sampler, n): cell(1.5 - gain * (sampler == "sss-b"), seed=17 * n + len(sampler), **look)
            for sampler in ("random", "sss-b")
            for n in (14, 42)
        }
        | {("none", 0): cell(3.0)}
    )


def test_a_sampler_with_surely_less_harm_than_random_is_fine():
    found = signatures.random_beaten(harm(), "labeller: right")
    assert found.verdict == FINE and found.measured == 2
    assert "2 of 2 comparisons have significantly less harm: SSS-B at n = " in found.numbers
    assert found.numbers.endswith("labeller: right") and len(found.details) == 2


@pytest.mark.parametrize("gain", [0.0, -0.5])
def test_random_that_no_sampler_beats_asks_to_look_at_the_labels(gain):
    found = signatures.random_beaten(harm(gain), "labeller: wrong")
    assert found.verdict == LOOK and found.measured == 0
    assert "in none of 2 comparisons" in found.numbers and "labeller: wrong" in found.numbers
    assert "annotation_sheet" in found.to_try


def test_random_that_cannot_be_compared_is_not_decided():
    without = harm().only(lambda key: key[0] != "random")
    assert signatures.random_beaten(without, "").verdict == UNDECIDED
    single = Cells({key: table.iloc[:1] for key, table in harm().items()})
    found = signatures.random_beaten(single, "")
    assert found.verdict == UNDECIDED and "two trials" in found.numbers
    assert signatures.random_beaten(Cells(), "").verdict == UNDECIDED
    unread = Cells({key: table * np.nan if key[0] == "sss-b" else table for key, table in harm().items()})
    assert signatures.random_beaten(unread, "").verdict == UNDECIDED


def test_over_refusal_above_a_fifth_is_looked_at_and_asks_for_less():
    places = {("none", 0): 50.0, ("random", 14): 5.0, ("sss-b", 42): 30.0, ("sss-b", 99): 40.0}
    refusals = Cells({key: cell(mean) for key, mean in places.items()})
    found = signatures.over_refusal(refusals)
    assert found.verdict == LOOK and "2 of 3 cells above 20 %; the highest is SSS-B at n = 99" in found.numbers
    assert found.measured == pytest.approx(40.0, abs=0.2) and "n below 42" in found.to_try
    del refusals["sss-b", 42], refusals["sss-b", 99]
    found = signatures.over_refusal(refusals)
    assert found.verdict == FINE and "0 of 1 cells" in found.numbers, "base data alone picks nothing"
    assert signatures.over_refusal(Cells()).verdict == UNDECIDED
    assert signatures.over_refusal(Cells({("random", 14): cell(math.nan)})).verdict == UNDECIDED


def test_trials_that_agree_can_carry_the_difference_and_trials_that_do_not_cannot():
    assert signatures.enough_trials(harm(0.5, spread=0.01)).verdict == FINE
    found = signatures.enough_trials(harm(0.3, spread=0.6))
    assert found.verdict == LOOK and found.measured >= 1 and "claim no difference" in found.to_try
    assert all("would find" in line for line in found.details) and "needs" in " ".join(found.details)


def test_the_gap_that_trials_can_find_is_that_of_a_paired_t_test():
    # With ten pairs 0.996 SDs are found with 80 % power (G*Power's tables give the same).
    runs = np.arange(10) * 0.1
    tables = {("random", 14): pd.DataFrame({"a": np.ones(10)}), ("sss", 14): pd.DataFrame({"a": 1 - runs})}
    [line] = signatures.enough_trials(Cells(tables)).details
    assert f"SD {runs.std(ddof=1):.2f} over 10 trials; they would find {0.996 * runs.std(ddof=1):.2f}" in line


@pytest.mark.parametrize("tables", [{}, {("random", 14): cell(1.0)}, {key: t.iloc[:1] for key, t in harm().items()}])
def test_one_trial_has_no_spread(tables):
    assert signatures.enough_trials(Cells(tables)).verdict == UNDECIDED


def test_no_difference_at_all_needs_no_number_of_trials():
    same = {("random", 14): pd.DataFrame({"a": [1.0, 2.0, 3.0]}), ("sss", 14): pd.DataFrame({"a": [2.0, 1.0, 3.0]})}
    found = signatures.enough_trials(Cells(same))
    assert found.verdict == LOOK and "more than 1,000 trials" in found.to_try


CATEGORIES = pd.Series(np.arange(PROMPTS) % 14, index=[f"prompt-{number}" for number in range(PROMPTS)], dtype="Int8")
POOL = pd.DataFrame({"category": [3, 3, 3, 4], "behaviour": ["T1", "T1", "T2", "T4"]})


def subsets(**few):
    """Two rows of every category at n = 28, but for those of `few` (c3=0: none of category 3)."""
    counts = {category: few.get(f"c{category}", 2) for category in range(14)}
    taken = [category for category, count in counts.items() for _ in range(count)]
    rows = pd.DataFrame({"category": taken}).assign(sampler="sss", n=28, trial=0)
    random = pd.DataFrame({"category": [pd.NA] * 28}).assign(sampler="random", n=28, trial=0)
    return pd.concat([rows.astype({"category": "Int8"}), random.astype({"category": "Int8"})], ignore_index=True)


def test_categories_with_their_slots_and_like_harm_are_fine():
    found = signatures.categories_served(Cells({("sss", 28): cell(1.0)}), CATEGORIES, subsets(), POOL)
    assert found.verdict == FINE and found.details == []
    assert "0 categories with few of their slots; 0 of 14 categories surely 0.5 above" in found.numbers
    one_row = signatures.categories_served(Cells(), CATEGORIES, subsets(c3=1), POOL)
    assert one_row.verdict == FINE, "half of a share is not few"


def test_a_category_with_few_of_its_slots_is_looked_at():
    found = signatures.categories_served(Cells(), CATEGORIES, subsets(c3=0), POOL)
    assert found.verdict == LOOK and "1 categories with few of their slots" in found.numbers
    [line] = found.details
    assert line.startswith("SSS at n = 28, category 3 (") and line.endswith("0 rows of an even share of 2 slots")


def test_a_category_whose_harm_is_far_above_the_mean_is_looked_at_with_its_rows():
    table = cell(1.0)
    table.loc[:, CATEGORIES.index[CATEGORIES == 3]] += 1.5
    found = signatures.categories_served(Cells({("sss", 28): table, ("none", 0): table}), CATEGORIES, subsets(), POOL)
    assert found.verdict == LOOK and found.measured == pytest.approx(1.5 * 13 / 14, abs=0.1)
    [line] = found.details
    assert "category 3" in line and line.endswith("the pool has 3 rows of it, 2 of them T1")
    assert "(1 of 1 cells)" in found.numbers, "base data alone serves no category"
    a_little = cell(1.0)
    a_little.loc[:, CATEGORIES.index[CATEGORIES == 3]] += 0.4
    assert signatures.categories_served(Cells({("sss", 28): a_little}), CATEGORIES, subsets(), None).verdict == FINE


def test_without_categories_nothing_is_said_of_them():
    nothing = pd.Series(pd.NA, index=CATEGORIES.index, dtype="Int8")
    random = subsets().query("sampler == 'random'")
    assert signatures.categories_served(Cells({("sss", 28): cell(1.0)}), nothing, random, None).verdict == UNDECIDED


def answers(unread=0, judge="harm-rm"):
    return pd.DataFrame({"judge": judge, "answer_status": ["unparsable"] * unread + ["parsed"] * (100 - unread)})


def test_judges_that_passed_their_canaries_are_fine_and_unread_answers_are_not():
    found = label_quality.judges(answers(5), {"harm-rm": True, "unused": False})
    assert found.verdict == FINE and "passed in every job, else there would be no scores: harm-rm" in found.numbers
    found = label_quality.judges(answers(6), {"harm-rm": True})
    assert found.verdict == LOOK and found.measured == pytest.approx(0.06) and "template" in found.to_try


def test_a_judge_without_canaries_is_not_decided():
    found = label_quality.judges(
        pd.concat([answers(), answers(judge="md-judge")]), {"harm-rm": True, "md-judge": False}
    )
    assert found.verdict == UNDECIDED and "without canaries: md-judge" in found.numbers
    assert "judges.md-judge.canaries" in found.to_try
    assert label_quality.judges(answers().iloc[:0], {"harm-rm": True}).verdict == UNDECIDED


def runs(change=0.0, cells=("random", "sss", "t1"), trials=4, level=0.5, noise=0.004):
    """Runs of one model at two n; the last run of the first cell is off by `change`."""
    draw = np.random.default_rng(1)
    rows = [
        {"model": "m", "pool": "p", "sampler": sampler, "n": n, "trial": trial, "benchmark": ""}
        | {"value": level * (1 + place / 2) + 0.1 * level * trial + noise * draw.standard_normal()}
        for n in (7, 14)
        for place, sampler in enumerate(cells)
        for trial in range(trials)
    ]
    rows[trials - 1]["value"] += change
    return outliers.runs_table(rows)


def test_a_run_whose_loss_is_off_is_named_and_no_other():
    found = outliers.outliers(LOSS, runs(0.2), "train again")
    assert found.verdict == LOOK and len(found.details) == 1 and found.to_try == "train again"
    assert "1 of 24 runs stand out: m/p/random/n7/t3" in found.numbers
    assert "m/p/random/n7/t3: 0.8" in found.details[0] and "expected 0.7" in found.details[0]


def test_runs_that_differ_by_cell_and_trial_alone_are_fine():
    found = outliers.outliers(LOSS, runs(), "train again")
    assert found.verdict == FINE and found.numbers == "0 of 24 runs stand out" and found.to_try == "nothing"
    equal = outliers.outliers(REFUSAL, runs(noise=0.0, level=0.0), "")
    assert equal.verdict == FINE, "all runs alike"


def test_an_outlier_among_equal_runs_is_found():
    assert outliers.outliers(REFUSAL, runs(30.0, noise=0.0, level=0.0), "").verdict == LOOK


def test_a_certain_outlier_that_does_not_matter_is_fine():
    assert outliers.outliers(LOSS, runs(0.02, noise=1e-5), "").verdict == FINE
    judged = outliers.residuals(runs(0.02, noise=1e-5))
    assert (judged["p"] < 0.05).any(), "it is an outlier"


def test_refusals_are_compared_within_a_benchmark():
    both = pd.concat([runs(noise=0.5, level=5.0), runs(noise=0.5, level=50.0).assign(benchmark="xstest")])
    both = both.reset_index(drop=True)
    assert outliers.outliers(REFUSAL, both, "").verdict == FINE
    both.loc[30, "value"] += 20
    found = outliers.outliers(REFUSAL, both, "")
    assert found.verdict == LOOK and "on xstest" in found.details[0] and "1 of 24 runs stand out: m/" in found.numbers


def test_a_judge_that_agrees_with_the_opening_words_is_fine_and_one_that_does_not_is_looked_at():
    refused = pd.Series([True, False, True, False, True], index=list("abcde"))
    scores = pd.Series([1.0, 0.0, 1.0, 0.0, float("nan")], index=list("abcde"))
    judges = {"over_refusal": "wildguard", "harm": "harm-rm"}
    good = label_quality.pairs_of_verdicts(scores, refused, "over_refusal")
    found = label_quality.agree([good, good], judges)
    assert (found.verdict, found.measured) == (FINE, 1.0)
    assert found.numbers == "Over-refusal, wildguard: agrees on 100.0 % of 8 responses, kappa 1.00", (
        "not the unread one"
    )
    bad = label_quality.pairs_of_verdicts(1 - scores, refused, "over_refusal")
    found = label_quality.agree([good, bad], judges)
    assert found.verdict == LOOK and "explore.html" in found.to_try and "agrees on 50.0 %" in found.numbers
    assert found.details[0].endswith("refused by the judge alone 25.0 %, by the rule alone 25.0 %")


def test_harm_is_compared_with_what_does_not_open_as_a_refusal_and_decides_nothing():
    refused = pd.Series([True, True, False, False], index=list("abcd"))
    pairs = label_quality.pairs_of_verdicts(pd.Series([2.0, 0.5, 3.0, 1.9], index=list("abcd")), refused, "harm")
    found = label_quality.agree([pairs], {"harm": "harm-rm"})
    assert (
        found.verdict == UNDECIDED and "harmful by the judge alone 25.0 %, by the rule alone 25.0 %" in found.details[0]
    )
    assert label_quality.agree([], {}).verdict == UNDECIDED


def test_a_judge_that_never_refuses_is_not_decided():
    pairs = label_quality.pairs_of_verdicts(pd.Series([0.0], ["a"]), pd.Series([False], ["a"]), "over_refusal")
    assert label_quality.agree([pairs], {"over_refusal": "wildguard"}).verdict == UNDECIDED


def test_runs_without_their_like_are_not_judged():
    found = outliers.outliers(LOSS, runs(trials=1), "")
    assert found.verdict == UNDECIDED and "none of 6 runs has enough like it" in found.numbers
    alone = outliers.runs_table([{"model": "m", "pool": "p", "sampler": "pss", "n": 7, "trial": 0, "benchmark": ""}])
    mixed = pd.concat([runs(), alone.assign(value=99.0)], ignore_index=True)
    found = outliers.outliers(LOSS, mixed, "")
    assert found.verdict == FINE and "0 of 24 runs stand out, 1 have too few like them to be judged" in found.numbers
    missing = runs()
    missing.loc[0, "value"] = np.nan
    assert "0 of 23 runs stand out, 1 have" in outliers.outliers(LOSS, missing, "").numbers


def test_the_studentised_residuals_are_those_of_statsmodels():
    from statsmodels.regression.linear_model import OLS

    design = np.repeat(np.eye(5), 4, axis=0)
    values = np.random.default_rng(0).standard_normal(20)
    expected = OLS(values, design).fit().get_influence().resid_studentized_external
    assert outliers._studentised(values, design)[1] == pytest.approx(expected)


BEHAVIOUR = pd.DataFrame(
    {"id": list("abcd"), "behaviour": ["T1", "T2", "T4", "unknown"], "reason": ["", "", "", "answer not readable"]}
).assign(judge="wildguard")


def test_the_labellers_accuracy_is_shown_where_rows_are_labelled_and_else_is_not_measured():
    assert label_quality.accuracy(BEHAVIOUR, None, None) == (
        "behaviour labeller wildguard: accuracy not measured, no row is labelled"
    )
    truth = pd.DataFrame({"row": range(4), "behaviour": ["T1", "T2", "T3", "T4"]})
    said = label_quality.accuracy(BEHAVIOUR, None, truth)
    # Of the three that were told two agree, and 2 / 9 would by chance: (2 / 3 - 2 / 9) / (7 / 9).
    assert "right on 50.0 % of 4 rows labelled by the made world's own truth (1 unknown, kappa 0.57)" in said
    sheet = pd.DataFrame(
        {"harmful_request": [True, None], "refusal": [True, None], "harmful_response": [False, None]},
        index=pd.Index(["a", "b"], name="id"),
    ).astype("boolean")
    sheet["categories"] = None
    assert "right on 100.0 % of 1 rows labelled by people" in label_quality.accuracy(BEHAVIOUR, sheet, None)


def test_the_closing_lines_name_what_to_look_at_first():
    found = [
        Finding("one", FINE, "a | b", "nothing"),
        Finding("two", LOOK, "3 of 4", "this", 3, 1, ["line | 1"]),
        Finding("three", UNDECIDED, "", "that"),
    ]
    assert findings.closing(found).splitlines() == [
        "Signatures of trouble: 1 of 3 to look at",
        "- two: 3 of 4. Try: this.",
        "- fine: one",
        "- not decidable: three",
    ]
    page = findings.to_markdown(found, "mini", ["A note."])
    assert r"a \| b" in page and "## two\n\n- line" in page and page.endswith("- A note.\n")
    assert list(findings.table(found)["verdict"]) == [FINE, LOOK, UNDECIDED]


SECRET = "Surely not a text that belongs in a report"
EXPERIMENT = {"models": ["m"], "pools": ["p"], "samplers": ["random", "sss"], "n": [14], "trials": 3}
OPTIONS = {
    "study": "mini",
    "synthetic": True,
    "judges": {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard"},
    "experiment": EXPERIMENT,
}


def write_study(folder, loss=0.5):
    """A study of two samplers and three trials, one of them with another training loss."""
    paths = [f"m/p/{sampler}/n14/t{trial}" for sampler in ("random", "sss") for trial in range(3)]
    rows = []
    for path in paths:
        _, _, sampler, _, trial = path.split("/")
        write_json(folder / "runs" / path / "training.json", {"train_loss": loss})
        for benchmark, judge in (("beavertails-eval", "harm-rm"), ("xstest", "wildguard")):
            rows += [
                {"model": "m", "pool": "p", "sampler": sampler, "n": 14, "trial": int(trial[1:])}
                | {"benchmark": benchmark, "judge": judge, "prompt_id": f"{benchmark}-{number}", "category": number}
                | {"score": 0.1 * number, "answer_status": "parsed", "finish_reason": "stop"}
                | {"prompt_tokens": 5, "response_tokens": 7}
                for number in range(3)
            ]
        responses = pd.DataFrame({"benchmark": ["xstest"] * 3, "response": [SECRET, "I cannot help.", SECRET]})
        responses["id"] = [f"xstest-{number}" for number in range(3)]
        harm = responses.assign(
            benchmark="beavertails-eval", id=responses["id"].str.replace("xstest", "beavertails-eval")
        )
        responses = pd.concat([responses, harm])
        responses.to_parquet(folder / "runs" / path / "responses.parquet")
        write_csv(folder / f"subsets/{path[2:]}.csv", pd.DataFrame({"rank": [1], "id": ["a"], "category": [0]}))
    schemas.write(folder / "scores.parquet", pd.DataFrame(rows).astype({"category": "Int8"}), schemas.SCORES)
    schemas.write(folder / "behaviour.parquet", BEHAVIOUR, schemas.BEHAVIOUR)
    return paths


def found_by_the_script(folder, paths, name, monkeypatch, **options):
    out = [part for kind in ("txt", "csv", "md") for part in (f"--out-{kind}", folder / name / f"t.{kind}")]
    inputs = ["--results", folder, "--scores", folder / "scores.parquet", "--behaviour", folder / "behaviour.parquet"]
    inputs += ["--runs", json.dumps({path: path[2:] for path in paths})]
    given = ["--options", json.dumps(OPTIONS | options)]
    given += ["--canaries", json.dumps({"harm-rm": True, "wildguard": True})]
    monkeypatch.setattr(sys, "argv", ["trouble.py", *map(str, [*given, *inputs, *out])])
    runpy.run_path(str(SCRIPTS / "trouble.py"), run_name="__main__")
    return pd.read_csv(folder / name / "t.csv").set_index("signature")


def test_a_judge_that_is_the_rule_is_not_compared_with_it(tmp_path, monkeypatch):
    rule = {"unit": "%", "scale": None, "rule": True}
    declared = {"harm": rule, "over_refusal": rule}
    table = found_by_the_script(tmp_path, write_study(tmp_path), "rule", monkeypatch, declared=declared)
    assert table.at["judges and a rule", "verdict"] == UNDECIDED
    page = (tmp_path / "rule/t.md").read_text()
    assert "kappa" not in page and "the rule itself, so it is not compared" in page


def test_the_script_reads_a_study_and_writes_the_same_bytes_twice_and_no_text(tmp_path, monkeypatch):
    paths = write_study(tmp_path)
    table, _ = (found_by_the_script(tmp_path, paths, name, monkeypatch) for name in ("first", "second"))
    assert list(table.index) == [
        *("gain over Random", "over-refusal", "spread across trials", "categories served"),
        *("judges and their canaries", "judges and a rule", "training loss of runs", "refusal rate of runs"),
    ]
    assert table.at["gain over Random", "verdict"] == LOOK and table.at["judges and their canaries", "verdict"] == FINE
    for kind in ("txt", "csv", "md"):
        written = (tmp_path / f"first/t.{kind}").read_bytes()
        assert written == (tmp_path / f"second/t.{kind}").read_bytes() and SECRET.encode() not in written


@pytest.mark.parametrize("effect", [3.0, 7.0, 8.0, 15.0, 50.0, 1000.0])
def test_a_huge_difference_needs_few_trials_and_no_traceback(effect):
    assert 2 <= trials_for(effect) <= 4
