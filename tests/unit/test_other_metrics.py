"""Metrics that a config adds: who is measured by them, what is compared with what, and their tables."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ballast import schemas
from ballast.files import BallastError
from ballast.markup import to_markdown
from ballast.study import config
from ballast.study.artefacts import parse_options
from ballast.study.runs import measured, opponent
from ballast.tables import pairwise, scores, tags

ROOT = Path(__file__).parents[2]
GSM8K = {
    "benchmark": "gsm8k",
    "judge": "exact-match",
    "label": "GSM8K",
    "unit": "%",
    "factor": 100,
    "direction": "higher",
}
WINS = {
    "benchmark": "i-alpaca",
    "judge": "wins",
    "label": "Win rate",
    "unit": "%",
    "factor": 100,
    "direction": "higher",
}
FOUR = ["asr", "harm", "helpfulness", "over_refusal"]


def study(metrics=(), **changes):
    raw = config.read(ROOT / "config/mini.yaml")
    raw["judges"]["exact-match"] = {}
    raw["benchmarks"]["gsm8k"] = {"path": "gsm8k.jsonl"}
    raw["experiments"]["sampling"]["metrics"] = [*FOUR, *metrics]
    raw |= {
        "other_metrics": {"gsm8k": GSM8K, "wins": WINS},
        "pairwise": {"wins": {"by": "scores", "judge": "helpful-rm"}},
    }
    return config.load(raw | changes)


def test_a_metric_that_no_experiment_names_changes_nothing():
    plain = config.read(ROOT / "config/mini.yaml")
    plain["experiments"]["sampling"]["metrics"] = FOUR
    assert measured(study()) == measured(config.load(plain))


def test_a_metric_is_measured_where_an_experiment_names_it_and_on_models_as_they_are():
    asked = measured(study(["gsm8k"]))
    assert asked["llama/safety/sss-b/n84/t0"] == sorted([*FOUR, "gsm8k"])
    assert asked["llama/safety/t1/n14/t0"] == ["harm", "helpfulness"], "Figure 2's runs are another experiment's"
    assert asked["llama/as-is"] == sorted([*FOUR, "gsm8k"])


def test_a_run_is_compared_with_base_data_alone_of_its_model_pool_and_trial():
    found = study(["wins"])
    asked = measured(found)
    assert opponent(found, "llama/safety/sss-b/n84/t2", "none", asked) == "llama/safety/none/n0/t2"
    assert opponent(found, "llama/safety/none/n0/t1", "none", asked) == "llama/safety/none/n0/t1", "with itself: 50"
    assert opponent(found, "llama/as-is", "none", asked) == "llama/safety/none/n0/t0"
    assert opponent(found, "llama/safety/sss-b/n84/t2", "random", asked) == "llama/safety/random/n84/t2"
    assert opponent(found, "llama/safety/sss-b/n84/t2", "as-is", asked) == "llama/as-is"
    assert "wins" in asked["llama/safety/none/n0/t2"] and "wins" in asked["llama/safety/sss-b/n84/t2"]
    # The aligned Mistral is never fine-tuned on base data alone: there is nothing to compare it with.
    assert "wins" not in asked["mistral/as-is"]


def test_the_counterpart_is_measured_though_only_another_experiment_has_it():
    raw = {"against": "t1", "by": "scores", "judge": "helpful-rm"}
    asked = measured(study(["wins"], pairwise={"wins": raw}))
    assert "wins" in asked["llama/safety/t1/n14/t0"] and "wins" in asked["llama/safety/sss/n14/t0"]
    assert "wins" not in asked["llama/safety/sss/n84/t0"], "t1 has no n 84"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"other_metrics": {"harm": GSM8K}}, "other_metrics.harm: this is one of `metrics`"),
        (
            {"other_metrics": {"gsm8k": GSM8K | {"judge": "exact"}}},
            "other_metrics.gsm8k.judge: 'exact' is not defined; did",
        ),
        ({"other_metrics": {"gsm8k": GSM8K | {"benchmark": "gsm"}}}, "other_metrics.gsm8k.benchmark: 'gsm' is not"),
        ({"other_metrics": {"gsm8k": GSM8K | {"direction": "up"}}}, "direction: input should be 'higher' or 'lower'"),
        ({"other_metrics": {"gsm8k": GSM8K | {"factor": 0}}}, "factor: input should be greater than 0"),
        ({"pairwise": {"wins": {"by": "llm"}}}, "by: llm takes 'model' and no 'judge'"),
        ({"pairwise": {"wins": {"by": "scores"}}}, "by: scores takes 'judge' and no 'model'"),
        ({"pairwise": {"wins": {"by": "scores", "judge": "help"}}}, "pairwise.wins.judge: 'help' is not defined"),
        ({"pairwise": {"harm-rm": {"by": "scores", "judge": "harm-rm"}}}, "pairwise.harm-rm: this is one of `judges`"),
    ],
)
def test_a_mistake_is_named(changes, message):
    with pytest.raises(BallastError) as error:
        study(**({"pairwise": {"wins": {"by": "scores", "judge": "helpful-rm"}}} | changes))
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(BallastError, match="experiments.sampling.metrics: 'gsm8' is not defined; did you mean 'gsm8k'"):
        study(["gsm8"])


def options(table, **others):
    raw = {"study": "s", "synthetic": False, "others": others, "measured": others, "stand_ins": {}}
    raw |= {"model_labels": {"m": "Model M"}}
    return parse_options(f"tables/{table}", json.dumps(raw))


def write_scores(path, runs):
    """`runs`: (sampler, n) -> the scores of each trial, of GSM8K."""
    rows = [
        {"model": "m", "pool": "-" if sampler == "as-is" else "p", "sampler": sampler, "n": n, "trial": trial}
        | {"benchmark": "gsm8k", "judge": "exact-match", "prompt_id": f"p{prompt}", "category": None, "score": score}
        | {
            "answer_status": "unparsable" if score is None else "parsed",
            "finish_reason": "stop",
            "prompt_tokens": 1,
            "response_tokens": 1,
        }
        for (sampler, n), trials in runs.items()
        for trial, scores in enumerate(trials)
        for prompt, score in enumerate(scores)
    ]
    schemas.write(str(path), pd.DataFrame(rows).astype({"category": "Int8", "score": float}), schemas.SCORES)
    return [str(path)]


def test_the_table_has_every_run_that_is_measured_by_a_metric(tmp_path):
    right = {("as-is", 0): [[1, 1, 1, 1]], ("none", 0): [[0, 0, 0, 1], [0, 0, 1, 1]]}
    right |= {("random", 4): [[1, 0, 0, 0], [1, 1, 0, 0]], ("sss", 4): [[1, 1, 1, 0], [1, 1, 1, 1]]}
    table = scores.table(options("scores", gsm8k=GSM8K), write_scores(tmp_path / "s.parquet", right))
    assert list(table.header) == ["Sampler", "n", "GSM8K (%)"]
    rows = [[cell.text for cell in row][1:] for row in table.rows]
    # Wilson's interval of 4 of 4, by hand: 4 / (4 + 1.96^2).
    assert rows[0] == ["0", "100.0 % (51.0 to 100.0)"]
    assert [row[0] for row in rows] == ["0", "0", "4", "4"]
    assert [row[1].split(" %")[0] for row in rows] == ["100.0", "37.5", "37.5", "87.5"]
    data = table.data.set_index("sampler")
    assert (data.loc["sss", "trials"], data.loc["sss", "over"]) == (2, "runs and prompts")
    assert data.loc["as-is", "over"] == "prompts only" and "judge `exact-match` on gsm8k" in to_markdown(table)


def test_models_that_no_run_fine_tunes_have_scores_too(tmp_path):
    table = scores.table(
        options("scores", gsm8k=GSM8K), write_scores(tmp_path / "s.parquet", {("as-is", 0): [[1, None, 0]]})
    )
    assert list(table.header) == ["Sampler", "GSM8K (%)"]
    assert table.rows[0][1].text.startswith("50.0 % (") and table.data["unparsable"].tolist() == [1]
    assert "GSM8K: higher is better." in table.caption


def test_a_metric_without_any_score_says_so(tmp_path):
    empty = write_scores(tmp_path / "s.parquet", {("random", 4): [[None]]})
    with pytest.raises(BallastError, match="no run has a score of gsm8k"):
        scores.table(options("scores", gsm8k=GSM8K), empty)


def test_a_metric_is_shown_by_the_tags_of_its_benchmark(tmp_path):
    right = {("as-is", 0): [[1, 1, 0, None]], ("random", 4): [[1, 0, 0, 0], [0, 0, 0, 1]]}
    said = [
        {"method": "jb", "baseq": "a"},
        {"method": "jb", "baseq": "b"},
        {"method": "tap", "baseq": None},
        {"method": "tap"},
    ]
    rows = pd.DataFrame({"id": [f"p{number}" for number in range(4)], "prompt": list("abcd"), "category": None})
    rows = rows.assign(tags=list(map(json.dumps, said))).astype({"category": "Int8"})
    schemas.write(str(tmp_path / "gsm8k.parquet"), rows, schemas.BENCHMARK)
    paths = [*write_scores(tmp_path / "s.parquet", right), str(tmp_path / "gsm8k.parquet")]
    table = tags.table(options("tags", gsm8k=GSM8K), paths)
    found = table.data.set_index(["tag", "value", "sampler"])
    by_method = {
        key: found.loc[("method", *key), "mean"].item() for key in [("jb", "as-is"), ("tap", "as-is"), ("jb", "random")]
    }
    assert by_method == {("jb", "as-is"): 100, ("tap", "as-is"): 0, ("jb", "random"): 25}
    # A missing score has no part in a mean, and a prompt without a tag in no row of that tag.
    assert found.loc[("method", "tap", "as-is"), "prompts"].item() == 1
    assert set(table.data.query("tag == 'baseq'")["value"]) == {"a", "b"}
    assert [cell.text for cell in table.rows[0]][:4] == ["GSM8K", "baseq", "a", "1"]


def test_a_tag_of_many_values_is_named_and_left_out(tmp_path):
    many = [[1] * (tags.VALUES + 1)]
    rows = pd.DataFrame({"id": [f"p{number}" for number in range(len(many[0]))], "category": None})
    rows = rows.assign(prompt=rows["id"], tags=[json.dumps({"baseq": name, "all": "one"}) for name in rows["id"]])
    schemas.write(str(tmp_path / "gsm8k.parquet"), rows.astype({"category": "Int8"}), schemas.BENCHMARK)
    paths = [*write_scores(tmp_path / "s.parquet", {("as-is", 0): many}), str(tmp_path / "gsm8k.parquet")]
    table = tags.table(options("tags", gsm8k=GSM8K), paths)
    assert set(table.data["tag"]) == {"all"}
    assert "Left out, with more than 40 values: `baseq` of gsm8k (41 values)." in table.notes


def write_compared(tmp_path, sampler, n, trial, first, second):
    path = tmp_path / f"runs/m/p/{sampler}/n{n}/t{trial}/scores/i-alpaca.wins.parquet"
    path.parent.mkdir(parents=True)
    table = pd.DataFrame({"first": first, "second": second}).astype(float)
    table = table.assign(
        score=(table["first"] + table["second"]) / 2, answer="", prompt_id=[f"p{n}" for n in table.index]
    )
    status = table["score"].notna().map({True: "parsed", False: "unparsable"})
    schemas.write(str(path), table.assign(answer_status=status), schemas.COMPARED)
    return str(path)


def test_the_comparisons_tell_wins_from_places(tmp_path):
    paths = [
        write_compared(tmp_path, "random", 4, 0, [1, 1, 0, None], [1, 0, 0, 1]),
        write_compared(tmp_path, "random", 4, 1, [1, 0.5], [0, 0.5]),
        write_compared(tmp_path, "none", 0, 0, [1, 1], [0, 0]),
    ]
    data = pairwise.table(options("pairwise", wins=WINS), paths).data.set_index("sampler")
    assert data.index.tolist() == ["none", "random"]
    random = data.loc["random"]
    assert (random["compared"], random["unread"]) == (5, 1)
    assert [random[key] for key in ("won", "tied", "lost", "orders_disagree")] == [20, 60, 20, 40]
    # Said "first" of ours first 3 times of 4, of ours second (theirs first) 3 times of 4.
    assert random["first_shown_won"] == 75 and data.loc["none", "first_shown_won"] == 100
