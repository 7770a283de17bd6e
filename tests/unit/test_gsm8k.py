"""GSM8K: its rows as task and benchmark, and which number of a response counts."""

import json
import runpy
import sys
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from ballast import plugins, schemas
from ballast.asking.judging import judge_pairs
from ballast.files import BallastError, write_json
from ballast.judges import exact_match
from ballast.readers import gsm8k, gsm8k_pairs

SCRIPTS = Path(__file__).parents[2] / "scripts"
ROWS = [
    {"question": "Ann has 3 pens and gets 4. How many?", "answer": "3+4 = <<3+4=7>>7 pens\n#### 7"},
    {"question": "A house costs $1,000,000 and 5. How much?", "answer": "It is <<1=1>>1.\n#### 1,000,005"},
]


def written(tmp_path, rows):
    path = tmp_path / "gsm8k.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("response", "number"),
    [
        ("The answer is 18.", "18"),
        ("#### 18", "18"),
        ("She earns $18", "18"),
        ("So it is $1,234.50.", "1234.50"),
        ("1,000,000 dollars", "1000000"),
        ("a loss of -7", "-7"),
        ("a loss of \u22127 degrees", "-7"),
        ("a debt of -$7.25", "-7.25"),
        ("10-3", "3"),  # a minus between numbers is arithmetic
        ("(10)-3", "3"),
        ("about 0.5 or .25", ".25"),
        ("it is -.5", "-.5"),
        ("**42**", "42"),
        (r"\boxed{42}", "42"),
        ("42%", "42"),
        ("first 5, then 6 and 7!", "7"),
        ("9 apples\n#### 9\n\nQuestion: 3 more?\n#### 12", "9"),  # what follows the mark is another question
        ("7 #### no number here", "7"),
        ("####9", "9"),
        ("<<16-3-4=9>>9", "9"),
        ("numbers 1, 2345", "2345"),
        ("007", "7"),
        ("seven", None),
        ("H2O and x3", None),
        ("####", None),
        ("", None),
    ],
)
def test_the_final_number_of_a_response(response, number):
    assert exact_match.final_number(response) == (None if number is None else Decimal(number))


def test_numbers_are_compared_by_value_and_no_number_is_wrong():
    responses = {"18": 1, "18.00": 1, "$18.": 1, "1,8": 0, "81": 0, "-18": 0, "I cannot say": 0, "": 0}
    pairs = pd.DataFrame({"prompt": "q", "response": list(responses), "expected": "18"})
    scores = judge_pairs("exact-match", pairs, {"max_unparsable": 0.0}, None)
    assert scores["score"].tolist() == list(responses.values()) and set(scores["answer_status"]) == {"parsed"}
    assert scores["answer"].tolist()[:3] == ["18", "18.00", "18"]


def test_canaries_have_no_right_answer_and_change_nothing(tmp_path):
    write_json(tmp_path / "canaries.json", [{"kind": "empty", "prompt": "q", "response": ""}])
    pairs = pd.DataFrame({"prompt": ["q"], "response": ["7"], "expected": ["7"]})
    assert judge_pairs("exact-match", pairs, {}, str(tmp_path / "canaries.json"))["score"].tolist() == [1.0]


@pytest.mark.parametrize("columns", [{}, {"expected": [None]}])
def test_a_benchmark_without_right_answers_is_refused(columns):
    with pytest.raises(BallastError, match="exact-match: the benchmark has no expected answers"):
        exact_match.judge(pd.DataFrame({"prompt": ["p"], "response": ["1"]} | columns), {})


@pytest.mark.parametrize("expected", ["B", ["5"], True, float("inf"), "1e5"])
def test_a_right_answer_that_is_no_number_is_no_traceback(expected):
    pairs = pd.DataFrame({"prompt": "q", "response": "5", "expected": pd.Series(["5", expected], dtype=object)})
    with pytest.raises(BallastError, match="exact-match: row 1: 'expected' is not a number"):
        exact_match.judge(pairs, {})
    assert exact_match.judge(pairs.assign(expected=[5, 10**5000]), {})["score"].tolist() == [1, 0]


def test_rows_are_a_task_and_a_benchmark(tmp_path):
    path = written(tmp_path, ROWS)
    assert gsm8k.read(path)["expected"].tolist() == ["7", "1000005"]
    assert gsm8k_pairs.read(path).iloc[0].to_dict() == {
        "instruction": ROWS[0]["question"],
        "input": "",
        "output": ROWS[0]["answer"],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "q"}, "no column 'answer'"),
        ({"question": "q", "answer": "7"}, "row 0: 'answer' does not end in '#### ' and a number"),
        ({"question": "q", "answer": "#### seven"}, "row 0: 'answer' does not end"),
        ({"question": None, "answer": "#### 7"}, "row 0: 'question' is missing or not text"),
    ],
)
def test_bad_rows_are_named(tmp_path, row, message):
    with pytest.raises(BallastError, match=message):
        gsm8k.read(written(tmp_path, [row]))


def test_the_right_answers_pass_through_the_data_stage(tmp_path, monkeypatch):
    out = str(tmp_path / "gsm8k.parquet")
    arguments = ["--kind", "benchmark", "--format", "gsm8k", "--source", written(tmp_path, ROWS), "--out", out]
    monkeypatch.setattr(sys, "argv", ["data.py", *arguments])
    runpy.run_path(str(SCRIPTS / "data.py"), run_name="__main__")
    table = schemas.read(out, schemas.BENCHMARK)
    assert table["expected"].tolist() == ["7", "1000005"] and table["category"].isna().all()


@pytest.mark.parametrize(("split", "rows"), [("train", 7473), ("test", 1319)])
def test_real_rows(data_dir, split, rows):
    """Each published answer is right by its own final number, and by its number alone in other spellings."""
    path = str(data_dir / f"gsm8k/gsm8k_{split}.jsonl")
    benchmark, pairs = plugins.load("readers", "gsm8k").read(path), plugins.load("readers", "gsm8k-pairs").read(path)
    assert len(benchmark) == len(pairs) == rows and benchmark["prompt"].is_unique
    for spelled in ("{}", "The answer is {}.", "It costs ${}.", "so x = {}"):
        numbers = [spelled.format(f"{Decimal(number):,}") for number in benchmark["expected"]]
        for responses in (pairs["output"], numbers):
            scores = exact_match.judge(benchmark.assign(response=responses), {})
            assert scores["score"].eq(1).all()
    others = benchmark["expected"].tolist()[1:] + benchmark["expected"].tolist()[:1]
    assert exact_match.judge(benchmark.assign(response=others), {})["score"].mean() < 0.05
