"""The claims of DualSelect's abstract: decided where a study names its Safety Avg., by every judge, on every model."""

import json

import numpy as np
import pandas as pd
import pytest
from test_job_inputs import jobs

from ballast import schemas
from ballast.claims import page
from ballast.claims.declared import CLAIMS
from ballast.claims.safety_avg import mean_of
from ballast.claims.verdicts import FAILS, HOLDS, OPEN
from ballast.files import BallastError
from ballast.results.metrics import read_scores
from ballast.study import config
from ballast.study.artefacts import options_for

LEVELS = {"none": 50, "random": 60, "seal": 64, "dualselect": 74}  # % of wins
SIZES = {"hh": 10, "hex": 30}
OTHER = {"unit": "%", "factor": 100.0, "direction": "higher"}
SECTIONS = {
    f"{benchmark}-{judge}": OTHER | {"label": benchmark, "benchmark": benchmark, "judge": judge}
    for judge in ("one", "two")
    for benchmark in SIZES
} | {"sums": OTHER | {"label": "Sums", "benchmark": "sums", "judge": "exact"}}
CLAIMED = {
    "method": "dualselect",
    "safety_avg": {"one": ["hh-one", "hex-one"], "two": ["hh-two", "hex-two"]},
    "judges": ["one", "two"],
    "utility": "sums",
    "metrics": SECTIONS,
}
GRID = {"models": ["small", "large"], "pools": ["p"], "samplers": list(LEVELS), "n": [42], "trials": 4}


def options(**claimed):
    judges = {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard", "helpfulness": "helpful-rm"}
    given = {"study": "made", "synthetic": False, "judges": judges, "experiment": GRID}
    return given | ({"dualselect": CLAIMED | claimed} if claimed is not None else {})


def found(tmp_path, changes=None, trials=4, given=None, noise=0.5):
    """The outcomes by claim; `changes`: (sampler, judge, model) -> points added."""
    draw, rows = np.random.default_rng(0), []
    for section in SECTIONS.values():
        benchmark, judge = section["benchmark"], section["judge"]
        for model in GRID["models"]:
            for sampler, level in LEVELS.items():
                level = 70 if judge == "exact" else level
                level += sum(points for key, points in (changes or {}).items() if key == (sampler, judge, model))
                for trial in range(trials):
                    off = draw.normal(0, noise)
                    rows += [
                        {"model": model, "pool": "p", "sampler": sampler, "n": 42 * (sampler != "none"), "trial": trial}
                        | {"benchmark": benchmark, "judge": judge, "prompt_id": f"{benchmark}{prompt}"}
                        | {"category": None, "score": (level + off + prompt - SIZES.get(benchmark, 20) / 2) / 100}
                        for prompt in range(SIZES.get(benchmark, 20))
                    ]
    table = pd.DataFrame(rows).assign(answer_status="parsed", finish_reason="stop", prompt_tokens=1, response_tokens=1)
    schemas.write(tmp_path / "scores", table.astype({"category": "Int8"}), schemas.SCORES)
    part = json.dumps({"transfer": options_for("claims-transfer", given or options(utility="sums"))})
    outcomes = page.measured(read_scores(str(tmp_path / "scores")), page.experiments(part))
    return {claim.id.removeprefix("dualselect-"): one for claim, one in zip(CLAIMS, outcomes, strict=True)}


def test_ten_points_ahead_everywhere_holds_and_the_strongest_baseline_is_named(tmp_path):
    outcomes = found(tmp_path)
    ahead = outcomes["5-10"]
    assert ahead.verdict == HOLDS and 9 < ahead.value < 11 and ahead.low > 5.1 and ahead.unit == "points"
    assert "6 of 6 at least 5.1 points; least so against seal (one, " in ahead.said
    assert outcomes["highest"].verdict == HOLDS and "12 of 12" in outcomes["highest"].said
    assert outcomes["overhead"].verdict == outcomes["retention"].verdict == OPEN
    assert "spent.md" in outcomes["overhead"].said


def test_three_points_refute_five_but_not_the_highest(tmp_path):
    outcomes = found(tmp_path, {("dualselect", judge, "small"): -7 for judge in ("one", "two")})
    assert outcomes["5-10"].verdict == FAILS and "1 of 6 below" in outcomes["5-10"].said
    assert "against seal (one, small)" in outcomes["5-10"].said and outcomes["highest"].verdict == HOLDS


def test_a_gain_near_five_points_stays_open(tmp_path):
    outcomes = found(tmp_path, {("dualselect", judge, "small"): -6 for judge in ("one", "two")}, trials=8, noise=1)
    assert outcomes["5-10"].verdict == OPEN and 0 < outcomes["5-10"].low < 5.1 < outcomes["5-10"].high


def test_one_judge_on_one_model_refutes_the_highest(tmp_path):
    outcomes = found(tmp_path, {("seal", "two", "large"): 20})
    assert outcomes["5-10"].verdict == HOLDS, "it is about the first judge"
    assert outcomes["highest"].verdict == FAILS and "seal (two, large)" in outcomes["highest"].said
    one = options(safety_avg={"one": ["hh-one"]}, judges=["one"])
    assert found(tmp_path, given=one)["highest"].said == "one judge only, one"


def test_a_loss_of_utility_is_found_and_an_equal_one_stays_open(tmp_path):
    lost = found(tmp_path, {("dualselect", "exact", "small"): -9})["utility"]
    assert lost.verdict == FAILS and "against No safety data (sums, small)" in lost.said
    assert found(tmp_path, noise=3)["utility"].verdict == OPEN


def test_a_study_that_names_nothing_or_has_one_run_decides_nothing(tmp_path):
    plain = {key: value for key, value in options().items() if key != "dualselect"}
    outcomes = found(tmp_path, given=plain)
    assert {outcomes[name].said for name in ("5-10", "highest", "utility")} == {
        "this study names no metrics in dualselect_claims"
    }
    single = found(tmp_path, trials=1)["5-10"]
    assert single.verdict == OPEN and single.said.startswith("a single run of dualselect")
    assert found(tmp_path, given=options(utility=None))["utility"].said == "dualselect_claims names no utility"


def test_sets_of_prompts_count_alike_whatever_their_sizes():
    few, many = (pd.DataFrame(np.full((2, size), float(value))) for size, value in ((2, 10), (8, 60)))
    few.iloc[1] += 4.0
    joined = mean_of([few, many])
    assert joined.to_numpy().mean() == pytest.approx((12 + 60) / 2)
    assert joined.mean(axis=1).tolist() == pytest.approx([35, 37])  # half of the second run's 4


def test_where_lower_is_better_the_rest_of_a_hundred_counts(tmp_path):
    turned = {name: section | {"direction": "lower"} for name, section in SECTIONS.items()}
    assert found(tmp_path, given=options(metrics=turned))["5-10"].verdict == FAILS


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"method": "dualselekt"}, "'dualselekt' is not in experiments.transfer.samplers; did you mean 'dualselect'?"),
        ({"safety_avg": {"words": ["asr"]}}, "'asr' is not in experiments.transfer.metrics"),
        ({"safety_avg": {"rm": ["harm"]}}, "safety_avg.rm: harm is in score; name metrics in %"),
    ],
)
def test_a_section_that_cannot_be_checked_is_one_line(change, said):
    raw = config.read("config/dualselect-mini.yaml")
    raw["dualselect_claims"] |= change
    with pytest.raises(BallastError) as error:
        config.load(raw)
    assert said in str(error.value), error.value


def test_no_other_study_has_an_option_of_it():
    raw = config.read("config/dualselect-mini.yaml") | {"dualselect_claims": None}
    assert config.load(raw).dualselect_claims is None
    part = options_for("claims-transfer", {key: value for key, value in options().items() if key != "dualselect"})
    assert "dualselect" not in part


def test_the_first_judge_of_the_config_stays_the_first():
    """JSON sorts the keys of `safety_avg`."""
    told = json.loads(jobs("config/dualselect-mini.yaml").documents.artefact("claims-transfer"))
    assert told["dualselect"]["judges"] == ["words", "harm-rm", "md-judge"]
