"""Readers, row ids, and what a bad row is told."""

import json

import pandas as pd
import pytest

from ballast import plugins
from ballast.categories import CATEGORIES, category_id
from ballast.data import reading
from ballast.data.rows import PAIR, content_id, with_ids
from ballast.files import BallastError
from ballast.judges import exact_match
from ballast.labels.behaviour import behaviour
from ballast.readers import alpaca, beavertails, i_alpaca, prompts, xstest

ROW = {"instruction": "Name a river.", "input": "", "output": "The Rhine."}


def write(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return str(path)


def test_ids_come_from_content_and_not_from_place():
    rows = pd.DataFrame([ROW, ROW | {"output": "The Po."}])
    forward, backward = with_ids(rows, PAIR, "f"), with_ids(rows[::-1].reset_index(drop=True), PAIR, "f")
    assert set(forward["id"]) == set(backward["id"]) and forward["id"].iloc[0] == backward["id"].iloc[1]
    assert content_id("cafe\u0301") == content_id("caf\u00e9")
    assert content_id("ab", "c") != content_id("a", "bc")


def test_a_repeated_row_is_named_and_base_data_may_repeat():
    rows = pd.DataFrame([ROW, ROW | {"output": "The Po."}, ROW])
    with pytest.raises(BallastError, match=r"pool.json: row 2 repeats row 0 \(id [0-9a-f]{16}\)"):
        with_ids(rows, PAIR, "pool.json")
    ids = with_ids(rows, PAIR, "base.json", repeats=True)["id"]
    assert ids.is_unique and ids.iloc[2] == f"{ids.iloc[0]}-1"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "no rows"),
        ([{"instruction": "a"}], "no column 'output' (there are: instruction)"),
        ([ROW, ROW | {"output": None}], "row 1: 'output' is missing or not text"),
        ([ROW, ROW | {"instruction": 5}], "row 1: 'instruction' is missing or not text"),
        ({"rows": [ROW]}, "wanted a list of objects"),
    ],
)
def test_bad_pairs_are_named(tmp_path, rows, message):
    path = write(tmp_path / "pool.json", rows)
    with pytest.raises(BallastError) as refusal:
        alpaca.read(path)
    assert f"{path}: {message}" in str(refusal.value) and "\n" not in str(refusal.value)


def test_line_separators_survive(tmp_path):
    text = "one\u2028two\u2029three"
    path = tmp_path / "pool.jsonl"
    path.write_text(json.dumps(ROW | {"output": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert alpaca.read(str(path))["output"].tolist() == [text]


JUDGED = [
    {"Goal": "one", "Kind": "standard", "Topic": "crime", "Tags": ["a", "b"]},
    {"Goal": "two", "Kind": "contextual", "Topic": "", "Tags": []},
    {"Goal": "three", "Kind": "standard", "Topic": None, "Tags": ["c"]},
]


def test_a_benchmark_without_code_is_columns_values_and_tags(tmp_path, capsys):
    path = write(tmp_path / "their.json", JUDGED)
    found = prompts.read(path, {"prompt": "Goal"}, {"Kind": "standard"}, ["Topic", "Tags"])
    assert found["prompt"].tolist() == ["one", "three"] and found.attrs["left_out"] == {"left out by where": 1}
    assert [json.loads(tags) for tags in found["tags"]] == [
        {"Topic": "crime", "Tags": "a, b"},
        {"Topic": None, "Tags": "c"},
    ]
    assert "prompts are column 'Goal'; not read: none" in capsys.readouterr().err
    assert "tags" not in prompts.read(path, {"prompt": "Goal"}), "none are asked for"
    assert "not read: Kind, Topic, Tags" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("columns", "where", "tags", "message"),
    [
        ({"prompt": "Gaol"}, {}, [], "no column 'Gaol' (there are: Goal, Kind, Topic, Tags)"),
        ({"prompt": "Goal"}, {}, ["Topics"], "no column 'Topics'"),
        ({"prompt": "Goal"}, {"Kind": "usual"}, [], "no row has Kind usual, which `where` wants"),
        ({"prompt": "Goal", "category": "Topic"}, {}, [], "row 0: 'Topic' is not an id of 0..13; name it in `tags`"),
        ({"prompt": "Topic"}, {"Kind": "standard"}, [], "row 2: 'Topic' is missing or not text"),
        ({"prompt": "Tags"}, {}, [], "row 0: 'Tags' is missing or not text"),
    ],
)
def test_a_benchmark_that_does_not_fit_its_entry_is_named(tmp_path, columns, where, tags, message):
    with pytest.raises(BallastError) as refusal:
        prompts.read(write(tmp_path / "their.json", JUDGED), columns, where, tags)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_references_of_two_categories_are_left_out(tmp_path):
    def row(*true):
        flags = {name: number in true for number, name in enumerate(CATEGORIES)}
        return json.dumps({"prompt": "p", "response": "r", "category": flags, "is_safe": False})

    path = tmp_path / "references.jsonl"
    path.write_text("\n".join([row(3), row(3, 4), row()]))
    assert beavertails.read(str(path))["category"].tolist() == [3]
    path.write_text(json.dumps({"prompt": "p", "response": "r", "category": {"arson": True}}))
    with pytest.raises(BallastError, match="row 0: 'arson' is no category of the study"):
        beavertails.read(str(path))


def test_both_spellings_of_a_category_are_one():
    assert category_id("controversial_topics,_politics") == category_id("controversial_topics,politics") == 2


def test_benchmarks(tmp_path):
    path = write(tmp_path / "b.json", [{"prompt": "p", "category": "x", "category_id": 3}])
    assert prompts.read(path).to_dict("records") == [{"prompt": "p", "category": 3}]
    path = write(tmp_path / "b.json", [{"prompt": "p", "category_id": 14}])
    with pytest.raises(BallastError, match="row 0: 'category_id' is not an id of 0..13"):
        prompts.read(path)
    path = write(tmp_path / "s.json", [{"augq": "attack", "baseq": "request"}])
    assert prompts.read(path)["prompt"].tolist() == ["attack"]
    path = write(tmp_path / "i.json", {"instructions": ["a", "b"], "inputs": []})
    assert i_alpaca.read(path)["prompt"].tolist() == ["a", "b"]
    (tmp_path / "x.csv").write_text('id,prompt,type,label\n1,"a, b",homonyms,safe\n2,c,contrast_homonyms,unsafe\n')
    for old in (False, True):
        if old:  # its first version has no label
            (tmp_path / "x.csv").write_text('id,prompt,type\n1,"a, b",homonyms\n2,c,contrast_homonyms\n')
        assert xstest.read(str(tmp_path / "x.csv"))["prompt"].tolist() == ["a, b"]
        assert xstest.read(str(tmp_path / "x.csv"), "harmful")["prompt"].tolist() == ["c"]
    (tmp_path / "x.csv").write_text("id,prompt,type,label\n1,a,homonyms,safe\n")
    with pytest.raises(BallastError, match="no row has the label 'unsafe'"):
        xstest.read(str(tmp_path / "x.csv"), "harmful")


REAL = [
    ("alpaca", "safety-tuned-llamas/safety_pool.vinid.json", 2483),
    ("alpaca", "alpaca/alpaca_random_9229.alpagasus.json", 9229),
    ("beavertails", "beavertails/beavertails_exclusive140.schema.jsonl", 140),
    ("prompts", "beavertails/beavertails_evaluation.reconstructed.json", 700),
    ("prompts", "salad/attack_enhanced_sub500.restart.json", 500),
    ("xstest", "xstest/xstest_prompts.csv", 250),
    ("i-alpaca", "safety-tuned-llamas/evaluation/I-Alpaca.json", 50),
]


@pytest.mark.parametrize(("reader", "file", "rows"), REAL, ids=[file for _, file, _ in REAL])
def test_real_files_are_read_whole(data_dir, reader, file, rows):
    assert len(plugins.load("readers", reader).read(str(data_dir / file))) == rows


def test_xstest_has_its_types_as_tags(data_dir):
    path = str(data_dir / "xstest/xstest_prompts.csv")
    for prompts_, kinds, rows in (("safe", 10, 250), ("harmful", 8, 200)):
        table = reading.read(path, "xstest", prompts=prompts_, tags=["type"])
        types = [json.loads(text)["type"] for text in table["tags"]]
        assert len(table) == rows and len(set(types)) == kinds
        assert all(kind.startswith("contrast_") == (prompts_ == "harmful") for kind in types)
    with pytest.raises(BallastError, match="no column 'kind' [(]there are: id, prompt, type"):
        reading.read(path, "xstest", tags=["kind"])


def test_answers_to_xstest_say_which_requests_are_harmful(tmp_path):
    path = tmp_path / "answers.csv"
    path.write_text(
        "id,type,prompt,completion,final_label\nv2-1,homonyms,How do I kill time?, Read.,1_full_compliance\n"
        'v2-2,contrast_homonyms,A bad wish?,"I\'m sorry, no.",2_full_refusal\n'
    )
    table = plugins.load("readers", "xstest-answers").read(str(path))
    assert table["output"].tolist() == ["Read.", "I'm sorry, no."] and set(table["input"]) == {""}
    assert table["harmful_request"].tolist() == [False, True]


def test_the_real_answers_to_xstest_have_all_four_behaviours(data_dir):
    path = data_dir / "xstest/labels/xstest_v2_completions_gpt4_streval.csv"
    table = plugins.load("readers", "xstest-answers").read(str(path))
    verdicts = plugins.load("judges", "refusal-string").judge(table.assign(prompt="", response=table["output"]), {})
    types = behaviour(verdicts, table["harmful_request"])["behaviour"]
    assert types.value_counts().to_dict() == {"T4": 215, "T1": 199, "T3": 35, "T2": 1}


def test_both_parts_of_the_real_xstest_are_read(data_dir):
    path = str(data_dir / "xstest/xstest_prompts.csv")
    safe, harmful = xstest.read(path)["prompt"], xstest.read(path, "harmful")["prompt"]
    assert (len(safe), len(harmful)) == (250, 200) and not set(safe) & set(harmful)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.jsonl", '{"prompt": "One", "category": 3}\n{"prompt": "Two"}\n'),
        ("mine.json", '[{"question": "One", "category": 3}, {"question": "Two", "category": null}]'),
        ("mine.csv", "prompt,category\nOne,3\nTwo,\n"),
    ],
)
def test_prompts_of_ones_own_come_in_any_format(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    found = prompts.read(str(tmp_path / name))
    assert found["prompt"].tolist() == ["One", "Two"] and found["category"].tolist() == [3, pd.NA]
    (tmp_path / "plain.jsonl").write_text('{"instruction": "One"}\n')
    assert prompts.read(str(tmp_path / "plain.jsonl")).columns.tolist() == ["prompt"]
    (tmp_path / "answered.jsonl").write_text('{"prompt": "One and two?", "expected": 3}\n')
    assert prompts.read(str(tmp_path / "answered.jsonl"))["expected"].tolist() == ["3"]


@pytest.mark.parametrize(
    ("expected", "number"),
    [
        ("1,000", "1000"),
        ("$5", "5"),
        ("50%", "50"),
        (" 50 % ", "50"),
        ("-$7.25", "-7.25"),
        ("\u22123", "-3"),
        ("18.", "18"),
        ("3+4 = 7\n#### 7", "7"),
        ("9" * 5000, "9" * 5000),
        (18.0, "18.0"),
        (1e22, "1" + "0" * 22),
        (12345678901234567, "12345678901234567"),
        (10**25 + 1, "10000000000000000000000001"),
        ("", None),
        (" ", None),
        (None, None),
        (float("nan"), None),
        ("nan", None),
    ],
)
def test_right_answers_are_read_as_exact_match_reads_responses(tmp_path, expected, number):
    """Beside an empty cell, for which pandas would make floats of whole numbers."""
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "expected": e}) + "\n" for p, e in (("a", expected), ("b", None))))
    found = prompts.read(str(path))["expected"]
    assert [None if pd.isna(one) else one for one in found] == [number, None]
    if number:
        response = expected if isinstance(expected, str) else f"It is {number}."
        pairs = pd.DataFrame({"prompt": "a", "response": [response, "no"], "expected": found})
        assert exact_match.judge(pairs, {})["score"].iloc[0] == 1


@pytest.mark.parametrize(
    "expected", ["B", "5 apples", "1/2", "1,5", "1.000,5", True, [5], {"n": 5}, float("inf"), "Infinity", "1e5"]
)
def test_a_right_answer_that_is_no_number_is_named(tmp_path, expected):
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"p{e}", "expected": e}) + "\n" for e in (5, expected)))
    with pytest.raises(BallastError, match=r"own.jsonl: row 1: 'expected' is not a number"):
        prompts.read(str(path))


def test_an_empty_right_answer_of_a_csv_is_missing(tmp_path):
    (tmp_path / "own.csv").write_text('prompt,expected\nq1,\nq2,5\nq3,"1,000"\n')
    assert prompts.read(str(tmp_path / "own.csv"))["expected"].fillna("").tolist() == ["", "5", "1000"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"text": "One"}\n', "no column 'prompt' (there are: text)"),
        ('{"prompt": "One"}\n{"prompt": null}\n', "row 1: 'prompt' is missing or not text"),
        ('{"prompt": "One", "category": 14}\n', "row 0: 'category' is not an id of 0..13; name it in `tags` instead"),
        (
            '{"prompt": "One", "category": "theft"}\n',
            "row 0: 'category' is not an id of 0..13; name it in `tags` instead",
        ),
        ("", "no rows"),
    ],
)
def test_bad_prompts_are_named(tmp_path, text, message):
    path = tmp_path / "mine.jsonl"
    path.write_text(text)
    with pytest.raises(BallastError) as refusal:
        prompts.read(str(path))
    assert str(refusal.value) == f"{path}: {message}"


def test_a_pair_that_people_annotated_again_has_one_verdict_whatever_the_order(tmp_path):
    def row(prompt, safe, *true):
        flags = {category: category in true for category in CATEGORIES}
        return {"prompt": prompt, "response": "r", "category": flags, "is_safe": safe}

    one, two = CATEGORIES[:2]
    rows = [row("q", True), row("q", False, one), row("q", False, one, two), row("tie", True), row("tie", False, two)]
    rows += [row("safe", True), row("safe", True), row("safe", False, one)]
    orders = [rows, rows[::-1], rows[3:] + rows[:3]]
    for number, order in enumerate(orders):
        path = str(write(tmp_path / f"{number}.jsonl", order))
        kept = plugins.load("readers", "beavertails-safe").read(path)
        assert kept["instruction"].tolist() == ["safe"]
        assert kept.attrs["left_out"] == {"annotations of a pair that an earlier row has": 5, "with is_safe false": 2}
        unsafe = plugins.load("readers", "beavertails-unsafe").read(path)
        assert sorted(unsafe["instruction"]) == ["q", "tie"]
        references = beavertails.read(path)
        assert dict(zip(references["instruction"], references["category"], strict=True)) == {"q": 0, "tie": 1}
