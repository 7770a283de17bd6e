"""Forms of rows: told by their columns, turned into pairs, and what a row that is none is told."""

import json

import numpy as np
import pandas as pd
import pytest

from ballast import plugins
from ballast.data import forms
from ballast.data.forms import Form, Unreadable, pair
from ballast.files import BallastError

PAIRS = [("Name a river.", "The Rhine."), ("Name a sea.", "The Baltic.")]


def chat(request: str, answer: str, role="role", content="content", user="user", assistant="assistant") -> list[dict]:
    return [{role: user, content: request}, {role: assistant, content: answer}]


def write(path, rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


SHAPES = {
    "alpaca": lambda request, answer: {"instruction": request, "input": "", "output": answer},
    "alpaca without input": lambda request, answer: {"instruction": request, "output": answer},
    "prompt-response": lambda request, answer: {"prompt": request, "response": answer, "id": 7},
    "question-answer": lambda request, answer: {"question": request, "answer": answer},
    "prompt-completion": lambda request, answer: {"prompt": request, "completion": answer},
    "instruction-response": lambda request, answer: {"instruction": request, "response": answer, "context": ""},
    "input-output": lambda request, answer: {"input": request, "output": answer},
    "capitals": lambda request, answer: {"Prompt": request, "Response": answer},
    "openai": lambda request, answer: {"messages": chat(request, answer)},
    "sharegpt": lambda request, answer: {"conversations": chat(request, answer, "from", "value", "human", "gpt")},
    "messages beside a prompt": lambda request, answer: {"prompt": request, "messages": chat(request, answer)},
    "trl's chats": lambda request, answer: {
        "prompt": chat(request, answer)[:1],
        "completion": chat(request, answer)[1:],
    },
    "parts": lambda request, answer: {"messages": chat([{"type": "text", "text": request}], answer)},
    "chat as text": lambda request, answer: {"messages": json.dumps(chat(request, answer))},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_form_is_told_by_its_columns(tmp_path, shape):
    path = write(tmp_path / "rows.jsonl", [SHAPES[shape](*each) for each in PAIRS])
    found = plugins.load("readers", "auto").read(path)
    assert found[["instruction", "output"]].to_numpy().tolist() == [list(each) for each in PAIRS]
    assert found["input"].tolist() == ["", ""]


@pytest.mark.parametrize(
    ("columns", "given", "name"),
    [
        ({"ask": "a", "reply": "b"}, {"instruction": "ask", "output": "reply"}, "prompt-response"),
        ({"instruction": "a", "output": "x", "gold": "b"}, {"output": "gold"}, "prompt-response"),
        ({"turns": chat("a", "b"), "prompt": "x", "response": "y"}, {"messages": "turns"}, "messages"),
    ],
)
def test_columns_win_over_the_usual_names(tmp_path, columns, given, name):
    found = forms.understand(write(tmp_path / "rows.jsonl", [columns]), columns=given)
    assert found.form.name == name and found.table.to_numpy().tolist() == [["a", "", "b"]]


@pytest.mark.parametrize(
    ("rows", "name", "columns", "said"),
    [
        (
            [{"ask": "a", "reply": "b"}],
            "auto",
            {},
            "no form that Ballast knows (there are: ask, reply); say which column",
        ),
        ([{"prompt": "a", "reply": "b"}], "prompt-response", {}, "no column 'output' (there are: prompt, reply)"),
        ([{"prompt": "a", "response": "b"}], "messages", {}, "no column 'messages' (there are: prompt, response)"),
        (
            [{"prompt": "a", "answer": "b"}],
            "auto",
            {"output": "anwser"},
            "no column 'anwser', which columns.output names; did you mean 'answer'?",
        ),
        ([{"rows": [{"instruction": "a"}]}], "auto", {}, "wanted a list of objects, or an object a line"),
        ([], "auto", {}, "no rows"),
        (
            [{"prompt": "a", "response": "b"}] * 3 + [{"prompt": "c"}],
            "auto",
            {},
            "row 3: no column 'response' (there are: prompt)",
        ),
        (
            [{"prompt": "a", "response": 5}] * 4,
            "auto",
            {},
            "row 0: 'response' is missing or not text; 4 of 4 rows cannot be read (100.0%), and 0.0% may be left out",
        ),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, rows, name, columns, said):
    path = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(BallastError) as refusal:
        forms.read(path, name, columns)
    assert str(refusal.value).startswith(f"{path}: {said}") and "\n" not in str(refusal.value)


def test_mixed_forms_are_counted_and_left_out_where_they_may_be(tmp_path):
    rows = [SHAPES["alpaca"](*PAIRS[0])] * 9 + [SHAPES["openai"](*PAIRS[1])]
    path = write(tmp_path / "rows.jsonl", rows)
    found = forms.understand(path)
    assert found.unreadable == [(9, "no column 'instruction' (there are: messages)")]
    assert len(forms.read(path, "auto", unreadable=0.1)) == 9
    with pytest.raises(BallastError, match=r"row 9: no column .*; 1 of 10 rows cannot be read \(10.0%\), and 9.0%"):
        forms.read(path, "auto", unreadable=0.09)


CHAT = Form("messages", {"messages": "messages"})


def test_a_system_message_is_left_out_and_several_turns_are_a_transcript():
    turns = [
        {"role": "system", "content": "Be kind."},
        *chat("One?", "1."),
        *chat("Two?", "2."),
        *chat("Three?", "3.")[:1],
    ]
    found = pair({"messages": turns}, CHAT)
    assert (found.instruction, found.output) == ("User: One?\n\nAssistant: 1.\n\nUser: Two?", "2.")
    assert found.system and found.turns == 2
    assert pair({"messages": turns[:3]}, CHAT).instruction == "One?"


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (None, "the chat is missing or no list of messages"),
        ([], "the chat is missing or no list of messages"),
        ("hello", "the chat is text, and no JSON list of messages"),
        (["hello"], "message 0 is no object of role and content"),
        ([{"role": "tool", "content": "x"}], "message 0: the role 'tool' is none of user, assistant and system"),
        ([{"content": "x"}], "message 0: the role 'None' is none of user, assistant and system"),
        ([{"role": "user", "content": None}], "message 0: its content is missing or not text"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "message 0: its content is missing or not text"),
        (chat("a", "b")[:1], "the chat has no answer"),
        (chat("a", "b")[1:], "the chat's last answer has no request before it"),
        (chat("a", "b") + chat("a", "b")[1:], "the chat's last answer has no request before it"),
    ],
)
def test_a_chat_that_is_no_pair(messages, why):
    with pytest.raises(Unreadable) as unreadable:
        pair({"messages": messages}, CHAT)
    assert str(unreadable.value) == why


def test_rows_are_numbered_as_in_the_file(tmp_path):
    rows = [{"prompt": "a", "response": None}, *(SHAPES["prompt-response"](*each) for each in PAIRS)]
    found = forms.understand(write(tmp_path / "rows.jsonl", rows * 30_000))
    assert found.records == 90_000 and len(found.table) == 60_000, "more than a part"
    assert np.array_equal(found.numbers[:3], [1, 2, 4]) and found.numbers[-1] == 89_999


def test_parquet_with_nulls_and_lists(tmp_path):
    table = pd.DataFrame({"instruction": ["a", "b"], "input": [None, "c"], "output": ["d", None]})
    table.to_parquet(tmp_path / "rows.parquet")
    found = forms.understand(tmp_path / "rows.parquet")
    assert found.table.to_numpy().tolist() == [["a", "", "d"]]
    assert found.unreadable == [(1, "'output' is missing or not text")]
    pd.DataFrame({"messages": [chat("a", "b")]}).to_parquet(tmp_path / "chats.parquet")
    assert forms.understand(tmp_path / "chats.parquet").table.to_numpy().tolist() == [["a", "", "b"]]


def test_real_files_are_told_apart(data_dir):
    for file, form, rows in (
        ("safety-tuned-llamas/safety_pool.vinid.json", "alpaca", 2483),
        ("gsm8k/gsm8k_train.jsonl", "prompt-response", 7473),
        ("beavertails/beavertails_exclusive140.artkit.csv", "prompt-response", 140),
    ):
        found = forms.understand(data_dir / file)
        assert (found.form.name, len(found.table), found.unreadable) == (form, rows, [])
