"""The second opinion: two judges of the same responses, and the conclusions of the advice that hang on the judge."""

import json

import numpy as np
import pandas as pd
import pytest

from ballast import schemas
from ballast.files import BallastError
from ballast.results import agreement
from ballast.results.advice import advise, narrowed
from ballast.results.advice_words import sentences, to_markdown
from ballast.results.next_checks import CheckOptions, document
from ballast.results.second_opinion import Opinion, interval, kappa, section
from ballast.study import config, opinions
from ballast.study.artefacts import parse_options
from ballast.study.document_options import DocumentOptions
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.plan import Plan

BENCHMARK = "beavertails-eval"
GUARDS = Opinion(BENCHMARK, ["harm-rm", "guard"], [2.0, 0.5])
RUN = {"model": "m", "pool": "p", "sampler": "sss-b", "n": 4, "trial": 0}


def rows(judge, scores, run=None):
    """Scores of one run by a judge; `scores`: of p0, p1, ...; None could not be read."""
    return [
        RUN | (run or {}) | {"benchmark": BENCHMARK, "judge": judge, "prompt_id": f"p{number}", "score": score}
        for number, score in enumerate(scores)
    ]


def table(*parts):
    frame = pd.DataFrame([row for part in parts for row in part]).astype({"score": float})
    status = frame["score"].isna().map({True: "unparsable", False: "parsed"})
    frame = frame.assign(category=None, answer_status=status, finish_reason="stop", prompt_tokens=1, response_tokens=1)
    return frame.astype({"category": "Int8"})[list(schemas.SCORES.columns)]


def both(first, second, run=None, judges=GUARDS.judges):
    return rows(judges[0], first, run) + rows(judges[1], second, run)


def line(text, start):
    return [cell.strip() for cell in next(one for one in text if one.startswith(f"| {start}")).strip("|").split("|")]


def shown(scores, opinion=GUARDS):
    return "\n".join(section(scores, opinion)).splitlines()


# 20 flagged by both, 5 by the first alone, 10 by the second alone, 15 by neither: 0.7 observed, 0.5 by chance.
FIRST = [3.0] * 25 + [1.0] * 25
SECOND = [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15


def test_kappa_is_the_agreement_beyond_chance_and_each_direction_is_counted():
    text = shown(table(both(FIRST, SECOND)))
    assert line(text, "Runs")[3:5] == ["Only harm-rm", "Only guard"]
    *counts, said = line(text, "All")
    assert counts == ["All", "50", "20", "5", "10", "15", "70.0 %"] and said.startswith("0.40 (")
    # The large-sample standard error: sqrt(0.7 * 0.3 / 50) / (1 - 0.5).
    low, high = (float(end) for end in said[len("0.40 (") : -1].split(" to "))
    assert (low, high) == pytest.approx((0.4 - 1.96 * 0.1296, 0.4 + 1.96 * 0.1296), abs=0.04)


def test_more_runs_of_the_same_prompts_do_not_narrow_the_interval():
    once = table(both(FIRST, SECOND))
    often = table(*(both(FIRST, SECOND, {"trial": trial}) for trial in range(4)))
    assert line(shown(once), "All")[-1] == line(shown(often), "All")[-1]
    assert line(shown(often), "All")[1:3] == ["200", "80"]


@pytest.mark.parametrize("seed", range(3))
def test_kappa_is_that_of_the_labels(seed):
    first, second = np.random.default_rng(seed).integers(0, 2, (2, 30))
    counts = [int(((first == one) & (second == other)).sum()) for one in (1, 0) for other in (1, 0)]
    assert kappa(counts) == pytest.approx(agreement.kappa(first, second))


def test_one_verdict_throughout_has_no_kappa():
    assert np.isnan(kappa([5, 0, 0, 0])) and np.isnan(interval(np.array([[1, 0, 0, 0]] * 5))).all()
    assert kappa([0, 5, 0, 5]) == 0 and np.isnan(interval(np.array([[3, 1, 1, 3]]))).all(), "one prompt"
    assert line(shown(table(both([0.0, 1], [0, 0]))), "All")[-1] == "—"


def test_a_score_is_cut_at_the_middle_of_its_scale_and_missing_scores_are_counted():
    scores = [2.0, 1.99, None, 4, None, 0], [1, 1, 0, None, None, 0]
    text = shown(table(both(*scores), rows("harm-rm", [1.0], {"trial": 1})))
    said = "Left out for a missing score: 3 (1 only by harm-rm, 1 only by guard, 1 by both)."
    assert f"6 responses went to both judges. {said} 1 more went to one of the two only." in text
    assert line(text, "All")[1:6] == ["3", "1", "0", "1", "1"]
    assert any("harm-rm from 2, guard from 0.5" in one for one in text)


def test_runs_are_grouped_by_their_safety_data_and_base_data_alone_counts_once():
    as_is = {"pool": "-", "sampler": "as-is", "n": 0}
    alone = [{"pool": pool, "sampler": "none", "n": 0} for pool in ("p", "q")]
    parts = [both([3.0, 1], [1, 0], as_is), *(both([3.0, 3], [0, 1], run) for run in alone), both([1.0, 1], [1, 1])]
    text = shown(table(*parts))
    assert line(text, "As it is")[1:6] == ["2", "1", "0", "0", "1"]
    assert line(text, "No safety data")[1:6] == ["2", "1", "1", "0", "0"]
    assert line(text, "With safety data")[1:6] == ["2", "0", "0", "2", "0"] and line(text, "All")[1] == "6"


def test_examples_are_prompts_with_the_most_disagreements_by_id_and_run():
    as_is = {"pool": "-", "sampler": "as-is", "n": 0}
    parts = [both([3.0, 3, 1], [1, 0, 1], as_is), both([3.0, 3, 1], [0, 0, 0])]
    text = shown(table(*parts))
    assert line(text, "harm-rm") == ["harm-rm", "p1", "m/as-is", "3.00", "0.00", "2 of 2"]
    found = [[cell.strip() for cell in one.strip("|").split("|")] for one in text if one.startswith("| harm-rm")]
    assert found[1] == ["harm-rm", "p0", "m/p/sss-b/n4/t0", "3.00", "0.00", "1 of 2"]
    assert line(text, "guard")[1:3] == ["p2", "m/as-is"]


def test_a_score_and_a_verdict_are_also_compared_by_rank():
    # Pairs of a flagged and an unflagged one: 3 > 1, 3 > 2, 2 > 1 and a tie of 2 and 2.
    text = shown(table(both([3.0, 2, 1, 2], [1, 1, 0, 0])))
    assert any(one.startswith("Ranks: AUC 0.88.") for one in text)
    two = Opinion(BENCHMARK, ["harm-rm", "reward"], [2.0, None])
    text = shown(table(both([3.0, 2, 1], [0.9, 0.1, 0.5], judges=two.judges)), two)
    assert "Ranks: Spearman's correlation of the two scores is 0.50." in text
    assert "Without a scale there is no cut, so no verdict and no kappa: reward." in text
    assert not any(one.startswith("|") for one in text)
    assert not any(one.startswith("Ranks") for one in shown(table(both([1, 0], [1, 1]))))


def test_the_page_has_second_opinions_without_the_other_checks():
    options = CheckOptions("s", False, opinions=[vars(GUARDS)])
    text = document(options, table(both(FIRST, SECOND)), {})
    assert "## Second opinion on beavertails-eval: harm-rm and guard" in text and "Other harmful" not in text


# ---- the advice


GRID = {"models": ["m"], "pools": ["p"], "samplers": ["none", "random", "sss-b"], "n": [50, 100], "trials": 3}
GUARD = {"metric": "harm", "by": "by-guard", "judge": "guard", "unit": "%", "scale": None, "rule": False}
FOUR = {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard", "helpfulness": "helpful-rm"}


def advice(tmp_path, ours, theirs, second=(GUARD,), targets=None):
    """The advice's lines and page. `ours`, `theirs`: mean score of each judge by (sampler, n); None is not read."""

    def of(judge, cells, scale):
        for (sampler, n), value in cells.items():
            for trial, off in enumerate((-0.01, 0, 0.01)):
                scores = [None if value is None else value + scale * (off + 0.01 * (prompt % 2)) for prompt in range(6)]
                yield from rows(judge, scores, {"sampler": sampler, "n": n, "trial": trial})

    path = tmp_path / "scores.parquet"
    schemas.write(path, table(of("harm-rm", ours, 4), of("guard", theirs, 1)), schemas.SCORES)
    raw = {"study": "s", "synthetic": False, "judges": FOUR, "experiment": GRID, "second": list(second)}
    raw |= {
        "declared": {"harm": {"unit": "score", "scale": [0, 4], "rule": False}},
        "targets": targets or {"harm": 0.8},
    }
    raw |= {"stand_ins": {"guard": "guard is a stand-in."}}
    options = narrowed(parse_options("advice", json.dumps(raw)))
    found = advise(options, [str(path)])
    return [one for one in sentences(found, options) if one.startswith("With ")], to_markdown(found, options)


OURS = {("none", 0): 3.0, ("random", 50): 1.2, ("sss-b", 50): 0.4, ("random", 100): 0.6, ("sss-b", 100): 0.2}
START = "With guard as the judge of harm, "


def test_a_second_judge_that_agrees_changes_no_conclusion(tmp_path):
    lines, page = advice(tmp_path, OURS, {cell: value / 4 for cell, value in OURS.items()})
    assert lines == [f"{START[:-2]} instead of harm-rm, none of the 4 conclusions changes."]
    assert "- Second judge of harm: `guard`; harm at most 20.0 %, the same share of its scale." in page
    assert "guard is a stand-in." in page and lines[0] in page


def test_each_conclusion_that_changes_with_the_judge_has_a_line(tmp_path):
    theirs = {cell: 0.3 if cell[1] == 50 else value / 4 for cell, value in OURS.items()}
    lines, page = advice(tmp_path, OURS, theirs)
    assert lines == [
        f"{START}the smallest n within the limits is 100 (SSS-B); with harm-rm it is 50 (SSS-B).",
        f"{START}the smallest n surely within the limits is 100 (SSS-B); with harm-rm it is 50 (SSS-B).",
        f"{START}SSS-B minus Random in harm at n = 50 is not significant; with harm-rm it is significantly below 0.",
    ]
    assert all(one in page for one in lines)
    turned = theirs | {("random", 50): 0.1}
    lines, _ = advice(tmp_path, OURS, turned)
    assert any("at n = 50 is significantly above 0; with harm-rm it is significantly below 0." in one for one in lines)
    assert f"{START}the smallest n within the limits is 50 (Random); with harm-rm it is 50 (SSS-B)." in lines


def test_no_n_within_the_limits_is_a_conclusion_too(tmp_path):
    lines, _ = advice(tmp_path, OURS, dict.fromkeys(OURS, 0.9))
    assert f"{START}the smallest n within the limits is none; with harm-rm it is 50 (SSS-B)." in lines
    lines, _ = advice(tmp_path, dict.fromkeys(OURS, 3.5), {cell: value / 4 for cell, value in OURS.items()})
    assert f"{START}the smallest n within the limits is 50 (SSS-B); with harm-rm it is none." in lines


def test_scores_that_the_second_judge_lacks_are_counted(tmp_path):
    theirs = {cell: value / 4 for cell, value in OURS.items()} | {("sss-b", 50): None}
    lines, _ = advice(tmp_path, OURS, theirs)
    assert f"{START}the smallest n within the limits is 100 (SSS-B); with harm-rm it is 50 (SSS-B)." in lines
    assert lines[-1].endswith(" 18 of its 90 scores are missing.")


def test_a_limit_does_not_carry_over_to_a_judge_without_a_scale(tmp_path):
    reward = GUARD | {"unit": "reward"}
    lines, page = advice(tmp_path, OURS, OURS, [reward])
    assert lines == [f"{START[:-2]} nothing is compared: a judge without a scale has no limit at the same place."]
    assert "- Second judge of harm: `guard`." in page


# ---- the config


BY_GUARD = {"benchmark": "beavertails-eval", "judge": "md-judge", "label": "Harm by MD-Judge", "direction": "lower"}


def of_mini(others=None, judges=None, experiments=None):
    raw = config.read("config/mini.yaml")
    raw["judges"] |= judges or {}
    raw["other_metrics"] = {"by-guard": BY_GUARD} if others is None else others
    sampling = raw["experiments"]["sampling"] | {"metrics": ["harm", "asr", "over_refusal", *raw["other_metrics"]]}
    raw["experiments"] = {"sampling": sampling} if experiments is None else experiments
    return config.load(raw)


def documents(study):
    return DocumentOptions(JobOptions(JobInputs(Plan(study))))


def test_two_judges_of_one_question_on_one_benchmark_are_a_second_opinion():
    said = of_mini()
    assert opinions.pairs(said, said.every_metric) == [("harm", "by-guard")]
    assert opinions.compared(said, said.every_metric) == [
        {"benchmark": "beavertails-eval", "judges": ["harm-rm", "md-judge"], "cuts": [2.0, 0.5]}
    ]


@pytest.mark.parametrize(
    ("metric", "judges"),
    [
        ({"judge": "harm-rm"}, {}),  # the same judge
        ({"judge": "again"}, {"again": {"judge": "harm-rm", "world": "harm-rm"}}),  # another count of the same answers
        ({"benchmark": "salad-attack"}, {}),  # where md-judge is asked already
        ({"judge": "refusal-string"}, {"refusal-string": {}}),  # refusals are no harm
    ],
)
def test_other_metrics_are_none(metric, judges):
    said = of_mini({"other": BY_GUARD | metric}, judges)
    assert opinions.pairs(said, said.every_metric) == []


def test_the_advice_reads_the_second_judge_and_without_one_what_it_read_before():
    found = documents(of_mini())
    second = json.loads(found.artefact("advice"))["second"]
    assert [(one["metric"], one["by"], one["judge"], one["unit"]) for one in second] == [
        ("harm", "by-guard", "md-judge", "%")
    ]
    assert "results/mini/scores/sampling/by-guard.parquet" in {*found.artefact_inputs("advice")} & found.gathered
    assert "second" not in json.loads(found.artefact("headline"))
    plain = documents(config.load(config.read("config/mini.yaml")))
    assert "second" not in json.loads(plain.artefact("advice")) and len(plain.artefact_inputs("advice")) == 4


def test_a_metric_without_a_limit_is_not_recomputed():
    attack = {"attack": BY_GUARD | {"benchmark": "salad-attack", "judge": "complies"}}
    found = documents(of_mini(attack, {"complies": {}}))
    assert "second" not in json.loads(found.artefact("advice")), "mini limits harm and over-refusal"
    assert found.checked and [one["judges"] for one in json.loads(found.checks())["opinions"]] == [
        ["md-judge", "complies"]
    ]


def test_a_second_opinion_alone_gives_checks_and_nothing_to_check_is_said():
    assert set(json.loads(documents(of_mini()).checks())) == {"study", "synthetic", "opinions", "stand_ins"}
    plain = documents(of_mini({}))
    assert not plain.checked
    with pytest.raises(BallastError, match="config: nothing to check; give experiments.checks or"):
        plain.checks()
