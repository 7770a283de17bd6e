"""The next checks: what stays of a difference on other prompts, with another judge's labels, after a second task."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from ballast import plugins, schemas
from ballast.files import BallastError, digest, write_csv
from ballast.readers import i_alpaca, prompts
from ballast.results import next_checks
from ballast.results.next_checks import CheckOptions, document
from ballast.study import config
from ballast.study.runs import Run, runs, subset, trained
from ballast.study.world_options import WorldOptions
from ballast.world import check_data as made
from ballast.world import datasets, pairwise
from ballast.world.language import harm, is_refusal
from ballast.world.lexicon import NUMBERS
from checks import main as stage

HARM = {"benchmark": "beavertails-eval", "judge": "harm-rm"}
CONA = {"benchmark": "i-cona", "judge": "harm-rm", "label": "Harm on I-CoNa", "unit": "score", "factor": 1.0}
CONA |= {"direction": "lower"}


def rows_of(metric, pool, sampler, n, trials):
    """Rows of the runs of a cell: `trials` are the scores of each trial's prompts."""
    key = {"model": "m", "pool": pool, "sampler": sampler, "n": n, "benchmark": metric["benchmark"]}
    key |= {"judge": metric["judge"], "category": None, "answer_status": "parsed", "finish_reason": "stop"}
    return [
        key | {"trial": trial, "prompt_id": f"p{prompt}", "score": score, "prompt_tokens": 1, "response_tokens": 1}
        for trial, scores in enumerate(trials)
        for prompt, score in enumerate(scores)
    ]


def table(rows):
    return pd.DataFrame(rows).astype({"category": "Int8", "score": float})[list(schemas.SCORES.columns)]


def spread(middle):
    """Three trials of four prompts around a value."""
    return [[middle + by + prompt for prompt in (-0.1, 0, 0.1, 0.2)] for by in (-0.05, 0, 0.1)]


def study(**changes):
    raw = {
        "study": "s",
        "synthetic": False,
        "model": "m",
        "pool": "p",
        "n": [4],
        "metrics": {"harm": HARM, "cona": CONA},
    }
    raw |= {"labellers": {"p": "wildguard"}, "subsets": [], "then": {}}
    return CheckOptions(**(raw | changes))


def line(text, *starts):
    """The cells of the first line of a table that begins so."""
    found = next(one for one in text.splitlines() if one.startswith(f"| {starts[0]}"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_swapped_responses_keep_the_requests_and_swap_refusal_and_answer():
    options = WorldOptions(pool_rows=200)
    pool = datasets.pool(options, "safety", 200, options.pool_zipf, datasets.SAFETY_TYPES)
    swapped = made.swapped(options)
    assert [row["instruction"] for row in swapped] == pool["instruction"].tolist()
    refused = [is_refusal(row["output"]) for row in swapped]
    assert refused == [behaviour in ("T2", "T4") for behaviour in pool["behaviour"]]
    assert not any(harm(row["output"]) for row in swapped), "the other response is a safe one"


def test_each_set_of_prompts_has_its_own_difference_to_no_safety_data():
    rows = rows_of(HARM, "p", "none", 0, spread(3)) + rows_of(CONA, "p", "none", 0, spread(2))
    rows += rows_of(HARM, "p", "random", 4, spread(2)) + rows_of(CONA, "p", "random", 4, spread(2))
    rows += rows_of(HARM, "p", "sss-b", 4, spread(1)) + rows_of(CONA, "p", "sss-b", 4, spread(1))
    text = document(study(), table(rows), {})
    assert line(text, "Harm on I-CoNa")[1:] == ["2.07 ± 0.19"] * 2 + ["1.07 ± 0.19"]
    # Trials and prompts are paired: the spread that they share is not in the difference.
    assert line(text, "SSS-B minus No safety data")[1:] == [
        "-2.00 (-2.00 to -2.00)",
        "-1.00 (-1.00 to -1.00)",
        "2 of 2",
    ]
    assert line(text, "Random minus No safety data")[2:] == ["+0.00 (+0.00 to +0.00)", "1 of 2"]
    assert line(text, "SSS-B minus Random")[3] == "2 of 2" and "Labelled" not in text and "second" not in text


def test_one_trial_decides_nothing():
    rows = rows_of(HARM, "p", "none", 0, [[3, 2]]) + rows_of(HARM, "p", "sss-b", 4, [[1, 1]])
    text = document(study(metrics={"harm": HARM}), table(rows), {})
    assert line(text, "SSS-B minus")[1:] == [f"-1.50 ({next_checks.OPEN})", "0 of 1"]


def test_another_judge_s_labels_are_counted_and_its_subsets_compared(tmp_path):
    ids = [f"r{number}" for number in range(6)]
    first = pd.DataFrame({"id": ids, "behaviour": ["T1", "T1", "T2", "T3", "unknown", "T2"]})
    second = pd.DataFrame({"id": ids, "behaviour": ["T1", "T2", "T2", "T1", "T2", "T2"]})
    for pool, picked in (("p", ids[:4]), ("a", ids[2:])):
        write_csv(tmp_path / f"{pool}.csv", pd.DataFrame({"rank": range(4), "id": picked}))
    rows = [row for pool in "pa" for row in rows_of(HARM, pool, "sss-b", 4, spread({"p": 1, "a": 1.5}[pool]))]
    options = study(
        labellers={"a": "refusal-string", "p": "wildguard"},
        subsets=[[pool, "sss-b", 4, 0, str(tmp_path / f"{pool}.csv")] for pool in "pa"],
    )
    text = document(options, table(rows), {"p": first, "a": second})
    assert "They agree on 50.0 % of 6 rows" in text and line(text, "T3")[1:] == ["1", "0", "0", "0", "1"]
    assert line(text, "all")[1:] == ["2", "4", "0", "0", "6"]
    assert "Behaviour labelled by refusal-string instead of wildguard" in text and "neither T3 nor T4" in text
    assert line(text, "Rows in common") == ["Rows in common", "2.0 of 4"]
    assert [one for one in text.splitlines() if one.startswith("| Harm")][-1].split("|")[2].strip().startswith("+0.50")


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (2, "By the means 50 % of it survives."),
        (3, "By the means 0 % of it survives, not significantly different from 0."),
    ],
)
def test_what_survives_a_second_task_is_the_lead_that_is_left(after, told):
    cells = {("none", 0): 3, ("none-then", 0): 3, ("sss-b", 4): 1, ("sss-b-then", 4): after}
    rows = [row for (sampler, n), middle in cells.items() for row in rows_of(HARM, "p", sampler, n, spread(middle))]
    then = {"none-then": ["none", "gsm8k"], "sss-b-then": ["sss-b", "gsm8k"]}
    text = document(study(then=then, metrics={"harm": HARM}), table(rows), {})
    assert told in text and "### SSS-B, n = 4, then gsm8k" in text
    assert "SSS-B-then" not in text.split("## A second")[0], "a run that was trained on is no sampler"


def test_a_lead_that_is_not_there_cannot_survive():
    cells = {("none", 0): 1, ("none-then", 0): 1, ("sss-b", 4): 1, ("sss-b-then", 4): 1}
    rows = [row for (sampler, n), middle in cells.items() for row in rows_of(HARM, "p", sampler, n, spread(middle))]
    then = {"none-then": ["none", "gsm8k"], "sss-b-then": ["sss-b", "gsm8k"]}
    assert "does not differ significantly from 0" in document(study(then=then, metrics={"harm": HARM}), table(rows), {})


def test_the_stage_writes_the_page(tmp_path):
    scores, out = str(tmp_path / "scores.parquet"), tmp_path / "checks.md"
    rows = rows_of(HARM, "p", "none", 0, spread(3)) + rows_of(HARM, "p", "random", 4, spread(2))
    schemas.write(scores, table(rows), schemas.SCORES)
    options = json.dumps(vars(study(metrics={"harm": HARM})))
    stage(SimpleNamespace(options=options, scores=scores, labels=[], out=str(out)))
    assert "Random minus No safety data" in out.read_text()


# ---- the config


def of_mini(**changes):
    raw = config.read("config/mini.yaml")
    raw["judges"]["refusal-string"] = {}
    raw["tasks"] = {"gsm8k": {"world": "gsm8k_train.jsonl", "format": "gsm8k-pairs"}}
    samplers = ["none", "sss-b", "again"]
    raw["experiments"] = {"sampling": raw["experiments"]["sampling"] | {"samplers": samplers, "n": [7], "trials": 1}}
    raw["methods"] = {"again": {"of": "sss-b", "then": "gsm8k"}}
    return config.load(raw | changes)


def test_a_run_that_is_trained_on_is_picked_and_trained_as_the_one_it_goes_on_from():
    found = of_mini()
    again = Run("llama", "safety", "again", 7, 0)
    assert again in runs(found) and again not in trained(found)
    assert subset(found, again) == "safety/sss-b/n7/t0" and found.method("again").then == "gsm8k"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": {"again": {"of": "sss-b", "then": "gsm8"}}}, "methods.again.then: 'gsm8' is not defined; did you"),
        ({"methods": {"again": {"then": "gsm8k"}}}, "'of' goes with one of 'transform', 'then' and 'trainer'"),
        ({"methods": {"again": {"of": "sss-b"}}}, "'of' goes with one of 'transform', 'then' and 'trainer'"),
        ({"methods": {"again": {"of": "a", "then": "gsm8k", "transform": "t"}}}, "'of' goes with one of 'transform'"),
        ({"pools": {"safety": {"world": "safety.json", "behaviour": "wild"}}}, "pools.safety.behaviour: 'wild' is not"),
    ],
)
def test_a_mistake_is_named(changes, message):
    with pytest.raises(BallastError) as error:
        of_mini(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


# ---- the data


def test_advbench_has_goals(tmp_path):
    path = tmp_path / "advbench.csv"
    path.write_text('goal,target\n"Do a, then b","Sure, a"\nDo c,Sure\n')
    assert prompts.read(str(path))["prompt"].tolist() == ["Do a, then b", "Do c"]
    path.write_text("aim\na\n")
    with pytest.raises(BallastError, match="no column 'prompt'"):
        prompts.read(str(path))
    path.write_text("")
    with pytest.raises(BallastError, match="advbench.csv: no rows"):
        prompts.read(str(path))


def test_a_prompt_that_a_file_repeats_is_asked_once(tmp_path):
    path = tmp_path / "i.json"
    path.write_text(json.dumps({"instructions": ["a", "b", "a"], "inputs": []}))
    assert i_alpaca.read(str(path))["prompt"].tolist() == ["a", "b"]


REAL = {
    "I-MaliciousInstructions": 98,
    "I-CoNa": 178,
    "I-Controversial": 40,
    "Q-Harm": 100,
    "I-PhysicalSafetyUnsafe": 100,
    "I-PhysicalSafetySafe": 100,
}


@pytest.mark.parametrize(("name", "rows"), REAL.items())
def test_real_prompts_are_read_whole(data_dir, name, rows):
    path = data_dir / f"safety-tuned-llamas/evaluation/{name}.json"
    assert len(plugins.load("readers", "i-alpaca").read(str(path))) == rows


def test_the_sources_of_the_checks_have_the_digests_of_the_real_files(data_dir):
    sources = config.read("config/sources.yaml")["sources"]
    local = {"Q-Harm": "q-harm", "I-CoNa": "i-cona", "I-Controversial": "i-controversial"}
    local |= {
        "I-MaliciousInstructions": "i-malicious-instructions",
        "I-PhysicalSafetyUnsafe": "i-physical-safety-unsafe",
    }
    files = {source: f"safety-tuned-llamas/evaluation/{name}.json" for name, source in local.items()}
    files |= {f"gsm8k-{split}": f"gsm8k/gsm8k_{split}.jsonl" for split in ("train", "test")}
    for source, file in files.items():
        assert [f"sha256:{digest(data_dir / file)}"] == list(sources[source]["files"].values()), source


def test_the_made_task_is_learnable_and_its_stories_are_of_one_split():
    options = WorldOptions()
    splits = [made.gsm8k(options, split, 60) for split in ("train", "test")]
    for rows in splits:
        for row in rows:
            a, _, b, _, c, _, mark, number = row["answer"].split()
            told = [NUMBERS.index(word) for word in (a, b, c)]
            assert mark == "####" and told[0] + told[1] == told[2] == int(number)
            assert f" {a} " in row["question"] and f" {b} " in row["question"]
    stories = [{(row["question"].split()[0], row["question"].split()[3]) for row in rows} for rows in splits]
    assert not stories[0] & stories[1]
    assert made.gsm8k(options, "train", 60) == splits[0]


def test_the_made_prompts_are_harmful_and_of_the_categories_they_should_be():
    options = WorldOptions()
    cona = made.harmful(options, "i-cona", made.HATE)
    assert {request.categories[0] for request in cona} == set(made.HATE) and len(cona) == options.check_rows
    assert all(len(request.categories) == 2 for request in made.double(options, "q-harm"))
    assert {request.kind for request in cona} == {"harmful"}


def test_the_pairwise_judge_learns_each_pair_in_both_orders():
    pairs = pairwise.compared(WorldOptions(), "test", 400)
    for (request, first, second, verdict), swapped in zip(pairs[::2], pairs[1::2], strict=True):
        turned = {"first": "second", "second": "first", "tie": "tie"}[verdict]
        assert swapped == (request, second, first, turned)
    assert {verdict for *_, verdict in pairs} == {"first", "second", "tie"}
