"""Rows of an aligned start: which are drawn, what else they make known, and when the start refuses too little."""

import argparse
import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

import aligned_refusals
import aligned_rows
import data
from ballast import schemas
from ballast.data import held_out, inspection, start_rows
from ballast.files import BallastError
from ballast.study import config
from ballast.study.job_inputs import JobInputs
from ballast.study.plan import Plan

ROWS = [{"instruction": f"Ask {number}.", "input": "", "output": f"Answer {number}."} for number in range(20)]
for number in range(0, 20, 2):
    ROWS[number] |= {"output": f"I'm sorry, I cannot do {number}."}
ROWS[4] |= {"output": "I'm sorry, " + "no " * 200}
ROWS.append({"instruction": "ask 2", "input": "", "output": "Another answer."})
NONE = dict.fromkeys(("t1", "t2", "t3", "t4", "any"), 0)


def draw(seed=0, **wanted) -> pd.DataFrame:
    return start_rows.draw(pd.DataFrame(ROWS), "models.start.aligned.rows.safety", NONE | wanted, seed, 300)


def test_short_rows_are_drawn_by_the_seed_and_their_text():
    every = {f"Ask {number}." for number in (0, 2, 6, 8, 10, 12, 14, 16, 18)}
    assert set(draw(t1=9)["instruction"]) == every, "4 is too long, the odd ones answer"
    few = [tuple(draw(seed, t1=3)["instruction"]) for seed in range(10)]
    assert len(set(few)) > 3 and few[0] == tuple(draw(t1=3)["instruction"])
    assert draw(t1=3)["id"].isin(draw(t1=4)["id"]).all()


def test_each_behaviour_and_other_rows_are_drawn_apart():
    found = draw(t1=2, t2=3, any=4)
    refused = found["output"].str.startswith("I'm sorry").sum()
    assert len(found) == found["id"].nunique() == 9 and 2 <= refused <= 6
    with pytest.raises(BallastError) as error:
        draw(t1=10)
    said = "models.start.aligned.rows.safety.t1: it wants 10 rows, and 9 fit; ask for fewer"
    assert str(error.value).startswith(said)


def test_a_source_that_knows_its_requests_has_safe_look_alikes():
    rows = pd.DataFrame(ROWS).assign(harmful_request=[number < 10 for number in range(len(ROWS))])
    found = start_rows.draw(rows, "rows.contrasts", NONE | {"t1": 3, "t4": 4}, 0, 300)
    asked = [int(text.split()[1].rstrip(".")) for text in found["instruction"]]
    assert all(number % 2 == 0 and number < 10 or number % 2 and number >= 10 or number == 2 for number in asked)


@pytest.fixture
def learnt(tmp_path) -> Path:
    """The file of a start that learns all short refusals."""
    (tmp_path / "pool.json").write_text(json.dumps(ROWS))
    dataset = {"path": str(tmp_path / "pool.json"), "format": "alpaca", "place": "rows.safety"}
    options = [dataset | {"wanted": NONE | {"t1": 9}, "longest": 300}] * 2
    out = tmp_path / "learnt.parquet"
    aligned_rows.main(argparse.Namespace(datasets=json.dumps(options), seed=0, out=str(out)))
    assert len(schemas.read(str(out), schemas.PAIRS)) == 9, "a row of two datasets is learnt once"
    return out


def read(source: Path, learnt: Path, kind: str, **changes) -> dict:
    """Return the counts of a `data` job."""
    counts = source.with_suffix(".counts.json")
    given = {
        "kind": kind,
        "format": "alpaca",
        "source": str(source),
        "columns": "{}",
        "tags": "[]",
        "where": "{}",
        "rows": None,
    }
    given |= {"order_seed": None, "longest": None, "unreadable": 0.1, "without": [], "prompts": None}
    given |= {"learnt": [str(learnt)], "out": str(source.with_suffix(".parquet")), "out_counts": str(counts)} | changes
    data.main(argparse.Namespace(**given))
    return json.loads(counts.read_text())


def test_the_stage_and_the_inspection_leave_out_the_same_rows(tmp_path, learnt):
    counts = read(tmp_path / "pool.json", learnt, "pool")
    assert counts == {"rows": 21, "used": 11, "left_out": {held_out.REASON: 10}}, "9, and 2 in other letters"
    looked = inspection.read("pools/own", str(tmp_path / "pool.json"), "alpaca", {}, learnt=[str(learnt)])
    base = inspection.read("base", str(tmp_path / "pool.json"), "alpaca", {})
    checks = {"unreadable": 0.1, "empty": 0.1, "leaks": "keep", "reasoning": "stop"}
    inspection.inspect([looked, base], {}, {"checks": checks, "asked": {}, "labeller": "refusal-string"})
    assert looked.rows["used"].sum() == 11 and looked.left_out[held_out.REASON] == 10


def test_a_benchmark_asks_nothing_that_the_start_has_learnt(tmp_path, learnt):
    prompts = ["ASK 0!", "Something else.", "Ask 1."]
    (tmp_path / "asked.csv").write_text("instruction\n" + "\n".join(prompts) + "\n")
    counts = read(tmp_path / "asked.csv", learnt, "benchmark", format="prompts")
    assert counts == {"rows": 3, "used": 2, "left_out": {held_out.REASON: 1}}
    table = schemas.read(str(tmp_path / "asked.parquet"), schemas.BENCHMARK)
    assert table["prompt"].tolist() == prompts[1:]


def test_every_prompt_inside_a_learnt_request_is_left_out(tmp_path):
    inside = ["write a poem on five rivers", "tell a tale of seven hills"]
    rows = pd.DataFrame(
        {"id": ["a"], "instruction": [f"Please {inside[0]}, then {inside[1]}."], "input": "", "output": "-"}
    )
    schemas.write(str(tmp_path / "learnt.parquet"), rows, schemas.PAIRS)
    table = pd.DataFrame({"prompt": [*inside, "Something else entirely, please, now."]})
    assert held_out.known(table, [tmp_path / "learnt.parquet"]) == [0, 1]


def test_a_start_that_refuses_too_little_stops_with_its_numbers(tmp_path):
    said = ["I cannot help with that.", "Sure.", "Sure.", "I'm sorry, no."]
    rows = pd.DataFrame({"response": said, "benchmark": ["malicious"] * 3 + ["xstest"], "prompt": "p"})
    rows = rows.assign(id=list("abcd"), category=pd.NA, finish_reason="stop", prompt_tokens=1, response_tokens=1)
    schemas.write(str(tmp_path / "r.parquet"), rows.assign(prompt_cut=False), schemas.RESPONSES)
    out = tmp_path / "refusals.json"
    given = {"model": "start", "responses": str(tmp_path / "r.parquet"), "benchmark": "malicious", "out": str(out)}
    with pytest.raises(BallastError) as error:
        aligned_refusals.main(argparse.Namespace(**given, least=0.5))
    assert not out.exists() and "\n" not in str(error.value)
    assert "refuses too little to lose anything: malicious 1 of 3; xstest 1 of 1; 50% of malicious" in str(error.value)
    aligned_refusals.main(argparse.Namespace(**given, least=0.3))
    assert json.loads(out.read_text())["malicious"] == {"prompts": 3, "refused": 1}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": {"safty": {"any": 1}}}, "models.llama.aligned.rows: 'safty' is not defined; did you mean 'safety'"),
        ({"rows": {"safety": {}}}, "models.llama.aligned.rows.safety: give a number of t1"),
        ({"rows": {}}, "models.llama.aligned.rows"),
        ({"training": {"lr": 1}}, "models.llama.aligned.training: 'lr' is not defined"),
        ({"training": {"max_length": 0}}, "models.llama.aligned.training.max_length: input should be greater"),
        ({"refuses": 2}, "models.llama.aligned.refuses"),
        ({}, "models.llama.aligned.refuses: add 'llama' to as_is"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(tmp_path, changes, said):
    given = {"rows": {"safety": {"t1": 5}, "base": {"any": 5}}} | changes
    path = tmp_path / "own.yaml"
    mini = Path(config.__file__).parents[3] / "config/mini.yaml"
    study = {"extends": str(mini), "as_is": [], "models": {"llama": {"aligned": given}}}
    path.write_text(yaml.safe_dump(study))
    with pytest.raises(BallastError, match=said) as error:
        config.load(config.read(path))
    assert "\n" not in str(error.value)


def test_training_is_decided_once_an_aligned_start_is_made():
    """A start that is made again with equal bytes must train nothing again, whatever it comes from."""
    study = config.load(config.read(Path(config.__file__).parents[3] / "config/small.yaml"))
    before = JobInputs(Plan(study)).before_training()
    assert "results/small/aligned/smollm2/model.safetensors" in before
