"""Rows of an aligned start: which are drawn, what else goes with them, and what is refused."""

import argparse
import json

import pandas as pd
import pytest
import yaml

import data
from ballast import schemas
from ballast.data import holding, inspection
from ballast.files import BallastError
from ballast.study import config

ROWS = [{"instruction": f"Ask {number}.", "input": "", "output": f"Answer {number}."} for number in range(20)]
for number in range(0, 20, 2):
    ROWS[number] |= {"output": f"I'm sorry, I cannot do {number}."}
ROWS[4] |= {"output": "I'm sorry, " + "no " * 200}
ROWS.append({"instruction": "ask 2", "input": "", "output": "Another answer."})
HOW = {"rows": 8, "seed": 0, "longest": 300, "refusals": True}


def draw(leaked=(), **changes) -> pd.DataFrame:
    return holding.draw(pd.DataFrame(ROWS), "pool.json", {"start": HOW | changes}, leaked)


def test_refusals_that_are_short_and_leak_nothing_are_drawn_by_the_seed_and_their_text():
    found = draw(leaked=[6])
    assert sorted(found["row"]) == [0, 2, 8, 10, 12, 14, 16, 18], "4 is too long, 6 leaks, the odd ones answer"
    assert set(found["model"]) == {"start"} and len(set(found["id"])) == 8
    few = [tuple(draw(rows=3, seed=seed)["row"]) for seed in range(10)]
    assert len(set(few)) > 3 and few[0] == tuple(draw(rows=3)["row"])
    assert len(draw(refusals=False, rows=15)) == 15
    with pytest.raises(BallastError, match=r"pool.json: models.start.aligned wants 9 rows that open as .* 8 fit"):
        draw(leaked=[6], rows=9)


def test_all_rows_with_a_held_request_are_left_out():
    held = draw(leaked=[6])
    assert holding.alike(pd.DataFrame(ROWS), held) == [0, 2, 8, 10, 12, 14, 16, 18, 20]


def test_a_request_that_other_data_has_is_refused():
    held = draw()
    holding.refuse_shared(held, {"base": pd.Series(["Something else."])})
    with pytest.raises(BallastError, match="xstest: 1 rows ask what the aligned start has learnt, such as row 1"):
        holding.refuse_shared(held, {"xstest": pd.Series(["Something else.", "ASK 0"])})


def test_the_stage_and_the_inspection_count_them_alike(tmp_path):
    source, out, held = tmp_path / "pool.json", tmp_path / "pool.parquet", tmp_path / "held.parquet"
    source.write_text(json.dumps(ROWS))
    prompts = pd.DataFrame({"id": ["p"], "prompt": ["Ask 6."], "category": pd.NA})
    schemas.write(str(tmp_path / "b.parquet"), prompts, schemas.BENCHMARK)
    hold = {"start": HOW}
    given = {"kind": "pool", "format": "alpaca", "source": str(source), "columns": "{}", "where": "{}", "rows": None}
    given |= {"order_seed": None, "longest": None, "unreadable": 0.1, "without": [], "prompts": None, "out": str(out)}
    given |= {"hold": json.dumps(hold), "avoid": [str(tmp_path / "b.parquet")], "out_held": str(held)}
    data.main(argparse.Namespace(**given, out_counts=str(tmp_path / "counts.json")))
    counts = json.loads((tmp_path / "counts.json").read_text())
    assert counts == {"rows": 21, "used": 12, "left_out": {holding.REASON: 9}}
    assert len(schemas.read(str(held), schemas.HELD)) == 8
    looked = inspection.read("pools/own", str(source), "alpaca", {}, hold=hold)
    base = inspection.read("base", str(source), "alpaca", {})
    checks = {"unreadable": 0.1, "empty": 0.1, "leaks": "keep", "reasoning": "stop"}
    options = {"checks": checks, "asked": {}, "labeller": "refusal-string"}
    inspection.inspect([looked, base], {"b": prompts}, options)
    assert looked.rows["used"].sum() == 12 and looked.left_out[holding.REASON] == 9


@pytest.mark.parametrize(
    ("aligned", "said"),
    [
        ({"pool": "safty"}, "models.llama.aligned.pool: 'safty' is not defined; did you mean 'safety'"),
        ({"training": {"lr": 1}}, "models.llama.aligned.training: 'lr' is not defined"),
        ({"training": {"max_length": 0}}, "models.llama.aligned.training.max_length: input should be greater"),
        ({"refusals": 0}, "models.llama.aligned.refusals"),
    ],
)
def test_a_mistake_in_the_config_is_one_line(tmp_path, aligned, said):
    given = {"pool": "safety", "refusals": 5, "base": 5} | aligned
    path = tmp_path / "own.yaml"
    mini = config.Path(config.__file__).parents[3] / "config/mini.yaml"
    path.write_text(yaml.safe_dump({"extends": str(mini), "models": {"llama": {"aligned": given}}}))
    with pytest.raises(BallastError, match=said) as error:
        config.load(config.read(path))
    assert "\n" not in str(error.value)
