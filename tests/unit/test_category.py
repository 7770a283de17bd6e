"""Category labels by a language model: the template with definitions, what is asked, what is read from an answer."""

import argparse
import dataclasses
import json
import re
import runpy
from pathlib import Path

import jsonschema
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ballast
from ballast import schemas
from ballast.asking.answers import Answer, Answers
from ballast.asking.prompts import PairTemplate
from ballast.categories import CATEGORIES, DEFINITIONS, definitions, title
from ballast.data.rows import PAIR, pairs_to_judge
from ballast.files import BallastError
from ballast.labels import category_llm

SCRIPTS = Path(ballast.__file__).parents[1]
WORDS = SCRIPTS / "ballast/labels/category_llm.json"
DEFINED = SCRIPTS / "ballast/labels/category_definitions.json"
IDS = st.integers(0, 13)


@pytest.fixture
def asked(monkeypatch):
    """What `label` asks, by name; the answers to give are put under `answers`."""
    seen = {"answers": []}

    def ask(texts, options, max_new_tokens, schema=None, **_):
        seen.update(texts=texts, options=options, max_new_tokens=max_new_tokens, schema=schema)
        found = {
            text: Answer(said, "too long" if said is None else None)
            for text, said in zip(texts, seen["answers"], strict=True)
        }
        return dataclasses.replace(Answers.of(texts, found, 0), answers=seen["answers"], **seen.get("took", {}))

    monkeypatch.setattr(category_llm.language_model, "ask", ask)
    return seen


def pairs(*rows):
    return pd.DataFrame(rows, columns=["prompt", "response"])


# ---- the parser


@pytest.mark.parametrize(
    ("answer", "categories"),
    [
        ('{"categories": [3, 7]}', [3, 7]),
        ('\n{ "categories" :\n[ 13,0 ] }\n', [13, 0]),
        ('{"categories": []}', []),
        ('{"categories": [5, 5, 1]}', [5, 1]),
        ("13, 0", [13, 0]),
        ("NONE.", []),
        ('{"categories": [14]}', None),
        ('{"categories": [-1]}', None),
        ('{"categories": [3.0]}', None),
        ('{"categories": ["3"]}', None),
        ('{"categories": [true]}', None),
        ('{"categories": 3}', None),
        ('{"categories": null}', None),
        ('{"categories": "none"}', None),
        ('{"categories": [3,]}', None),
        ('{"categories": [3]', None),
        ('{"categories": [3], "categories": [4]}', None),
        ('{"categories": [3], "why": "x"}', None),
        ('{"Categories": [3]}', None),
        ('{"categories": [0, 1, 2, 3, 4]}', None),
        ("0, 1, 2, 3, 4", None),
        ("[3, 7]", None),
        ('```json\n{"categories": [3]}\n```', None),
        ('The answer is {"categories": [3]}', None),
        ("none, 3", None),
        ("3 and 7", None),
        ("٣", None),  # a digit, but not one of ours
        ("", None),
        (None, None),
    ],
)
def test_an_answer_is_json_or_ids_or_none_and_nothing_else(answer, categories):
    assert category_llm.parse(answer) == categories


@given(st.lists(IDS, min_size=1, max_size=category_llm.MOST, unique=True), st.sampled_from(["", " ", "\n\t "]))
def test_both_forms_are_read_back(ids, space):
    assert category_llm.parse(space + json.dumps({"categories": ids}, indent=len(space)) + space) == ids
    assert category_llm.parse(space + f"{space},{space}".join(map(str, ids)) + space) == ids


PIECES = st.sampled_from(['{"categories": [', '"categories"', "{", "}", "[", "]", ":", ",", " ", "none", ".", "-", "0"])


@given(st.lists(PIECES | IDS.map(str) | st.text(max_size=2)).map("".join) | st.text())
def test_what_is_read_is_what_json_and_the_schema_say(answer):
    ids = category_llm.parse(answer)
    try:
        jsonschema.validate(json.loads(answer), category_llm.schema())
        assert ids == list(dict.fromkeys(json.loads(answer)["categories"]))
    except (json.JSONDecodeError, jsonschema.ValidationError, RecursionError):
        text = answer.strip().rstrip(".").lower()
        words = [word.strip() for word in text.split(",")]
        readable = all(word.isascii() and word.isdigit() and word == str(int(word)) for word in words)
        if ids is not None and "{" not in answer:
            assert (ids == [] and text == "none") or (readable and ids == list(dict.fromkeys(map(int, words))))


@given(st.lists(st.integers(-3, 20) | st.sampled_from([1.0, "1", None, True]), max_size=6, unique_by=repr))
def test_the_parser_and_the_schema_refuse_the_same_lists(values):
    answer = {"categories": values}
    valid = jsonschema.Draft202012Validator(category_llm.schema()).is_valid(answer)
    # JSON Schema takes 1.0 and, by way of Python, True for 1; an answer spells an id in digits.
    spelled = all(type(value) is int for value in values)
    assert (category_llm.parse(json.dumps(answer)) is not None) == (valid and spelled)


# ---- the templates


def test_the_template_holds_each_id_once_with_its_definition():
    template = json.loads(DEFINED.read_text())["template"]
    lines = re.findall(r"^(\d+)\. (.*)$", template, re.MULTILINE)
    assert [int(number) for number, _ in lines] == list(range(14))
    assert [text for _, text in lines] == [f"{title(i)}: {DEFINITIONS[i]}." for i in range(14)]
    assert template.count(definitions()) == 1
    assert len(DEFINITIONS) == len(set(DEFINITIONS)) == len(CATEGORIES)


def test_the_template_asks_in_the_form_that_the_parser_reads():
    template = json.loads(DEFINED.read_text())["template"]
    examples = re.findall(r"\{\"categories\".*?\}", template)
    assert [category_llm.parse(example) for example in examples] == [[3, 7], []]


@pytest.mark.parametrize("file", [WORDS, DEFINED])
def test_braces_and_percent_signs_pass_through_both_templates(file):
    nasty = '{response} {prompt} {"categories": [1]} %s %(x)d {{}} \\n'
    template = PairTemplate.load(file)
    text = template.render(nasty, nasty)
    assert text == template.before + nasty + template.between + nasty + template.after
    assert text.count(nasty) == 2


# ---- labelling


def test_the_template_with_definitions_is_answered_as_json(asked):
    asked["answers"] = ['{"categories": [3, 7]}', '{"categories": []}', "I cannot", None]
    found, _ = category_llm.label(pairs(*[("a", "b")] * 4), {"template": str(DEFINED), "model": "m"})
    assert found["categories"].tolist() == [[3, 7], [], [], []]
    assert found["status"].tolist() == ["parsed", "parsed", "unparsable", "too long"]
    assert asked["schema"] == category_llm.schema() and asked["options"]["model"] == "m"
    longest = json.dumps({"categories": [10, 11, 12, 13]})
    assert asked["max_new_tokens"] >= len(longest), "room for the longest answer in tokens of one character"


def test_the_short_template_is_held_to_no_schema(asked):
    asked["answers"] = ["3, 7", "none"]
    found, _ = category_llm.label(pairs(("a", "b"), ("c", "d")), {"template": str(WORDS)})
    assert found["categories"].tolist() == [[3, 7], []]
    assert asked["schema"] is None and asked["max_new_tokens"] == 16
    assert asked["texts"][1].startswith("[INST]") and "Request: c\n\nReply: d" in asked["texts"][1]


def test_an_unknown_form_of_answer_names_the_template(tmp_path, asked):
    file = tmp_path / "template.json"
    file.write_text(json.dumps({"template": "{prompt} {response}", "answer": "xml"}))
    with pytest.raises(BallastError, match=r"template.json: 'answer' must be one of words, json"):
        category_llm.label(pairs(("a", "b")), {"template": str(file)})


def test_labels_keep_the_index_of_their_rows(asked):
    asked["answers"] = ["1", "2"]
    table = pairs(("a", "b"), ("c", "d")).set_index(pd.Index([7, 3]))
    assert category_llm.label(table, {"template": str(WORDS)})[0].index.tolist() == [7, 3]


def run_stage(tmp_path, options):
    rows = [("a", "one", "", "x"), ("b", "two", "", "y"), ("c", "three", "", "z")]
    schemas.write(tmp_path / "pool.parquet", pd.DataFrame(rows, columns=["id", *PAIR]), schemas.PAIRS)
    out = tmp_path / "category.parquet"
    arguments = {"labeller": "llm", "pool": tmp_path / "pool.parquet", "options": json.dumps(options), "out": out}
    runpy.run_path(str(SCRIPTS / "category.py"))["main"](argparse.Namespace(**arguments, store=None, reads=None))
    return schemas.read(out, schemas.CATEGORIES)


def test_the_stage_counts_what_it_could_not_read(tmp_path, asked, capsys):
    asked["answers"] = ['{"categories": [2]}', "junk", None]
    labels = run_stage(tmp_path, {"template": str(DEFINED)})
    assert labels["status"].tolist() == ["parsed", "unparsable", "too long"]
    assert [list(row) for row in labels["categories"]] == [[2], [], []]
    said = capsys.readouterr().err
    assert "'unparsable': 1" in said and "'too long': 1" in said and "{2: 1}" in said, "unread is not none"


@pytest.mark.parametrize(("limit", "stops"), [(0.4, True), (0.5, False)])
def test_too_many_unreadable_answers_stop_the_stage(tmp_path, asked, limit, stops):
    asked["answers"] = ["1", "junk", None]  # the third was never asked
    options = {"template": str(DEFINED), "max_unparsable": limit}
    if not stops:
        assert len(run_stage(tmp_path, options)) == 3
        return
    with pytest.raises(BallastError, match="1 of 2 answers could not be read"):
        run_stage(tmp_path, options)
    assert not (tmp_path / "category.parquet").exists()


def test_what_a_server_did_not_answer_is_neither_none_nor_too_long(tmp_path, asked):
    asked.update(answers=["1", None, None], took={"missing": {"HTTP 500": 2}})
    assert run_stage(tmp_path, {"template": str(DEFINED)})["status"].tolist() == ["parsed", "unanswered", "unanswered"]
    with pytest.raises(BallastError, match="2 of 3 answers could not be read"):
        run_stage(tmp_path, {"template": str(DEFINED), "max_unparsable": 0.5})


@pytest.mark.parametrize("categories", [[100], [-1], [3, 3]])
def test_a_label_is_distinct_ids(tmp_path, categories):
    row = {"id": ["a"], "categories": [categories], "status": ["parsed"], "labeller": ["llm"]}
    with pytest.raises(BallastError, match="categories"):
        schemas.write(tmp_path / "category.parquet", pd.DataFrame(row), schemas.CATEGORIES)


def test_the_real_pool_is_asked_word_for_word(data_dir, asked):
    file = data_dir / "safety-tuned-llamas/safety_pool.vinid.json"
    pool = pd.DataFrame(json.loads(file.read_text()))
    asked["answers"] = ["none"] * len(pool)
    table = pairs_to_judge(pool)
    category_llm.label(table, {"template": str(DEFINED)})
    frame = PairTemplate.load(DEFINED)
    whole = all(
        text == frame.before + prompt + frame.between + response + frame.after
        for text, prompt, response in zip(asked["texts"], table["prompt"], table["response"], strict=True)
    )
    assert whole and len(asked["texts"]) == 2483  # no text of the file in a failure's message
