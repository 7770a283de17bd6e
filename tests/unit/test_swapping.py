"""Pools with the same requests and other responses: their subsets, the comparison of rows and runs, and bad input."""

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
from ballast.data import requests
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError
from ballast.picks.gradients import in_memory
from ballast.picks.selection import Features
from ballast.results import swapping, swapping_page
from ballast.study.artefacts import parse_options

SCRIPTS = Path(ballast.__file__).parents[1]
STUDY = {
    "study": "mini",
    "synthetic": True,
    "judges": {"harm": "harm-rm", "over_refusal": "wildguard"},
    "stand_ins": {},
    "experiment": {"models": ["m"], "pools": ["p", "q"], "samplers": ["t1"], "n": [2], "trials": 3},
}
NO = "i will not help ."


def pool(*rows: tuple[str, str]) -> pd.DataFrame:
    table = pd.DataFrame([(request, "", response) for request, response in rows], columns=list(PAIR))
    return with_ids(table, PAIR, "pool")


REFUSED = pool(("a ?", NO), ("b ?", NO), ("c ?", NO), ("d ?", "yes"))
ANSWERED = pool(("c ?", "yes c"), ("b ?", "yes b"), ("a ?", "yes a"), ("d ?", NO))


def test_counterparts_have_the_same_requests_in_the_same_order():
    picked = REFUSED["id"].iloc[[2, 0]].tolist()
    found = ANSWERED.set_index("id").loc[requests.counterparts(picked, REFUSED, ANSWERED)]
    assert found["instruction"].tolist() == ["c ?", "a ?"] and found["output"].tolist() == ["yes c", "yes a"]
    assert requests.counterparts([], REFUSED, ANSWERED) == []


def test_an_earlier_turn_of_a_chat_is_a_part_of_the_request():
    chats = REFUSED.assign(turns=["", "earlier", "", ""])
    with pytest.raises(BallastError, match="0 of 1 picked requests have a response here"):
        requests.counterparts([chats["id"].iloc[1]], chats, ANSWERED)


def test_requests_without_a_counterpart_are_told_with_their_number():
    with pytest.raises(BallastError, match="3 of 4 picked requests have a response here.*the first without is that"):
        requests.counterparts(REFUSED["id"].tolist(), REFUSED, ANSWERED.iloc[1:])


@pytest.mark.parametrize("twice", ["there", "here"])
def test_a_request_in_several_rows_is_ambiguous(twice):
    pools = {"there": REFUSED, "here": ANSWERED}
    pools[twice] = pd.concat([pools[twice], pool(("a ?", "another"))], ignore_index=True)
    with pytest.raises(BallastError, match="of . picked requests stand in several rows"):
        requests.counterparts(pools["there"]["id"].tolist(), pools["there"], pools["here"])


def test_every_row_is_a_pair_or_left_out_by_reason():
    there = pd.concat([REFUSED, pool(("e ?", NO), ("f ?", NO), ("f ?", "yes"), ("g ?", NO))], ignore_index=True)
    pairs, counts = requests.pairs(there, pd.concat([ANSWERED, pool(("g ?", NO))], ignore_index=True))
    assert counts == {"rows": 8, "pairs": 4, "with the same response": 1} | {
        "with a repeated request": 2,
        "without a counterpart": 1,
    }
    assert set(pairs["one"]) == set(REFUSED["id"])
    with pytest.raises(BallastError, match="no pair of rows: 0 of 4 requests are in both pools"):
        requests.pairs(REFUSED, pool(("x ?", "yes")))


def run(name: str, *arguments: str) -> None:
    before, sys.argv = sys.argv, [f"{name}.py", *arguments]
    try:
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")
    finally:
        sys.argv = before


def test_the_stage_keeps_ranks_and_categories_and_names_the_pool_of_a_mistake(tmp_path, capsys):
    for name, table in (("one", REFUSED), ("other", ANSWERED), ("short", ANSWERED.iloc[:1])):
        schemas.write(str(tmp_path / f"{name}.parquet"), table, schemas.PAIRS)
    first, second = REFUSED["id"].iloc[[1, 3]]
    (tmp_path / "subset.csv").write_text(f"rank,id,category\n1,{first},4\n2,{second},\n")
    files = ["--subset", str(tmp_path / "subset.csv"), "--picked-from", str(tmp_path / "one.parquet")]
    out = ["--out", str(tmp_path / "out.csv"), "--out-rows", str(tmp_path / "out.parquet")]
    run("swap", *files, "--pool", str(tmp_path / "other.parquet"), *out)
    wanted = ANSWERED["id"].iloc[[1, 3]]
    assert (tmp_path / "out.csv").read_text().split() == ["rank,id,category", f"1,{wanted[1]},4", f"2,{wanted[3]},"]
    picked = schemas.read(str(tmp_path / "out.parquet"), schemas.PAIRS)
    assert picked["output"].tolist() == ANSWERED["output"].iloc[[1, 3]].tolist()
    assert "2 requests, 0 with the same response" in capsys.readouterr().err
    with pytest.raises(BallastError, match="short.parquet: 0 of 2 picked requests"):
        out = ["--out", str(tmp_path / "no.csv"), "--out-rows", str(tmp_path / "no.parquet")]
        run("swap", *files, "--pool", str(tmp_path / "short.parquet"), *out)
    assert not list(tmp_path.glob("no.*"))


def features(table: pd.DataFrame, along: list[float | None], losses: list[float], behaviour: list[str]) -> Features:
    """Rows whose gradients lie `along` the task's direction, None for a row that teaches nothing."""
    directions = np.array([[-(each or 0), math.sqrt(1 - (each or 0) ** 2)] for each in along])
    norms = [float(each is not None) for each in along]
    directions[[each is None for each in along]] = 0
    return Features(
        behaviour=pd.Series(behaviour, index=table["id"]),
        gradients=in_memory(table["id"].tolist(), losses, norms, directions),
        base_gradients=in_memory(["x"], [1.0], [1.0], np.array([[1.0, 0.0]])),
        logprobs=pd.Series([np.array([-1.0], np.float32)] * len(table), index=table["id"]),
    )


FIRST = swapping.Pool(REFUSED, features(REFUSED, [0.6, 0.0, None, 0.6], [3.0, 2.0, 1.0, 1.0], ["T1"] * 3 + ["T4"]))
# In the order of ANSWERED: c, b, a, d.
SECOND = swapping.Pool(ANSWERED, features(ANSWERED, [0.0, -0.6, 0.0, 0.6], [1.0, 1.0, 1.0, 2.0], ["T2"] * 3 + ["T3"]))
HARM = {("p", "t1"): [[0, 1], [1, 1], [0, 1]], ("q", "t1"): [[2, 3], [3, 4]]}


def scores(harm=HARM) -> pd.DataFrame:
    rows = [
        {"model": "m", "pool": pool, "sampler": sampler, "n": 2, "trial": trial, "benchmark": benchmark, "judge": judge}
        | {"prompt_id": f"{benchmark} {place}", "category": place, "score": float(value), "answer_status": "parsed"}
        | {"finish_reason": "stop", "prompt_tokens": 5, "response_tokens": 7}
        for benchmark, judge in (("beavertails-eval", "harm-rm"), ("xstest", "wildguard"))
        for (pool, sampler), runs in harm.items()
        for trial, values in enumerate(runs)
        for place, value in enumerate(values if judge == "harm-rm" else [0, 1])
    ]
    return pd.DataFrame(rows).astype({"category": "Int8"})


def compared(first=FIRST, harm=HARM) -> swapping.Swapped:
    picked = {("t1", 2): {"t0": REFUSED["id"].iloc[:2].tolist(), "t1": REFUSED["id"].iloc[[0, 2]].tolist()}}
    return swapping.compare(parse_options("swapping", json.dumps(STUDY)), first, SECOND, scores(harm), picked)


def test_rows_are_paired_by_request_and_runs_by_trial():
    found = compared()
    assert found.counts["pairs"] == 3 and found.counts["that teach nothing"] == 1
    one, other = found.behaviours
    assert (one.name, one.pairs, other.name, other.pairs) == ("T1 to T2", 2, "T4 to T3", 1)
    assert one.differences["conflict"].mean == -0.6 and one.differences["increase"].mean == -1.5
    assert math.isnan(other.differences["conflict"].p), "one pair has no interval"
    # The angle between (-0.6, 0.8) and (0, 1) is that between (0, 1) and (0.6, 0.8).
    assert one.cosine[0] == pytest.approx(0.8, abs=1e-6)
    (cell,) = found.samplers
    harm = cell.differences["harm"]
    assert (cell.pairs, harm.mean, harm.trials) == (2, 2.25, 2) and harm.low < 2.25 < harm.high
    assert cell.lacking == {"harm": 1, "over_refusal": 1}, "trial 2 has no counterpart"


def test_paired_differences_have_students_interval():
    found = swapping.paired(np.array([1.0, 2.0, 3.0]))
    assert (found.mean, round(found.low, 3), round(found.high, 3)) == (2.0, -0.484, 4.484)
    assert found.p == pytest.approx(0.0742, abs=1e-4)


def test_holms_p_is_over_all_tests_of_both_tables():
    found = compared()
    every = [each for one in (*found.behaviours, *found.samplers) for each in one.differences.values()]
    tests = [each for each in every if not math.isnan(each.p)]
    smallest = min(tests, key=lambda each: each.p)
    assert smallest.holm == pytest.approx(min(1, smallest.p * len(tests)))


def test_the_page_gives_both_effects_and_what_is_left_out():
    options = parse_options("swapping", json.dumps(STUDY))
    page = "\n\n".join(swapping_page.section(compared(), options))
    assert "## The same requests with other responses: q minus p" in page
    assert "Rows of p: 4 = 3 pairs, 1 that teach nothing." in page
    assert "Trials without a counterpart in the other pool, left out: T1, n = 2 1." in page
    said = " ".join(swapping_page.sentences(compared()))
    assert said.startswith("2 requests, T1 to T2 with") and "1 requests, T4 to T3" in said
    assert "The requests of T1, n = 2 with another response: harm +2.25 (" in said and "of 1 cells" in said


def test_runs_of_one_pool_alone_are_named():
    page = "\n".join(
        swapping_page.section(
            compared(harm={("p", "t1"): HARM["p", "t1"]}), parse_options("swapping", json.dumps(STUDY))
        )
    )
    assert "Without runs in both pools: T1, n = 2." in page


def test_pairs_without_any_gradient_are_an_error():
    nothing = swapping.Pool(REFUSED, features(REFUSED, [None] * 4, [1.0] * 4, ["T1"] * 4))
    with pytest.raises(BallastError, match="no pair of rows has a gradient in both pools; raise training.max_length"):
        compared(nothing)
