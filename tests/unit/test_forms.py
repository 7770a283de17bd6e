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
            [{"Prompt": "a", "prompt": "c", "response": "b"}],
            "auto",
            {},
            "the columns 'Prompt' and 'prompt' differ only in case or spaces; name one in `columns`",
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
    assert found.remarks == ("several", "system", "unanswered")
    assert found.turns == (("user", "One?"), ("assistant", "1."), ("user", "Two?"))
    assert pair({"messages": turns[:3]}, CHAT).instruction == "One?"


@pytest.mark.parametrize("weight", [{"weight": 0}, {"train": False}, {"training": "false"}, {"loss": 0.0}])
def test_an_answer_that_is_not_to_be_learnt_is_not_the_response(weight):
    turns = [*chat("One?", "1."), *chat("Two?", "2.")]
    found = pair({"messages": [*turns[:3], turns[3] | weight]}, CHAT)
    assert (found.instruction, found.output, found.remarks) == ("One?", "1.", ("untaught",))
    # An earlier answer without weight is context, as in OpenAI's format.
    found = pair({"messages": [turns[0], turns[1] | weight, *turns[2:]]}, CHAT)
    assert (found.output, found.remarks) == ("2.", ("several",))
    with pytest.raises(Unreadable, match="mark every answer as not to be learnt"):
        pair({"messages": [turns[0], turns[1] | weight]}, CHAT)


def test_keys_of_both_kinds_as_in_a_merged_file():
    message = {"role": None, "content": None, "from": "human", "value": "hi"}
    answer = {"role": "assistant", "content": "yo", "from": None, "value": None}
    assert pair({"messages": [message, answer]}, CHAT).output == "yo"


ROUNDS = [["How is a lock picked?", "Which kind?"], ["A door's.", "Fine."]]


@pytest.mark.parametrize("history", [ROUNDS, json.dumps(ROUNDS), [said for one in ROUNDS for said in chat(*one)]])
@pytest.mark.parametrize(("asked", "answer"), [("instruction", "output"), ("prompt", "response")])
def test_history_is_part_of_the_request_and_system_is_counted(tmp_path, history, asked, answer):
    row = {asked: "And now?", "input": "Here.", answer: "No.", "system": "You are terse.", "history": history}
    found = forms.understand(write(tmp_path / "rows.jsonl", [row]))
    said = "User: How is a lock picked?\n\nAssistant: Which kind?\n\nUser: A door's.\n\nAssistant: Fine.\n\n"
    assert found.table[["instruction", "input", "output"]].to_numpy().tolist() == [
        [f"{said}User: And now?\nHere.", "", "No."]
    ]
    assert json.loads(found.table["turns"][0])[-1] == ["user", "And now?\nHere."]
    assert found.remarks == {"several": 1, "system": 1} and not found.unread


def test_a_history_that_is_none_is_unreadable_and_an_empty_one_is_no_history(tmp_path):
    rows = [
        {"instruction": "a", "output": "b", "history": history} for history in ("x", [["a"]], [[1, 2]], [], None, "")
    ]
    found = forms.understand(write(tmp_path / "rows.jsonl", rows))
    assert [number for number, _ in found.unreadable] == [0, 1, 2] and "turns" not in found.table


def test_system_and_tools_stand_beside_a_chat(tmp_path):
    row = {"conversations": chat("hi", "yo", "from", "value", "human", "gpt"), "system": "be brief", "tools": "[]"}
    orca = {"system_prompt": "You are a pirate.", "question": "q", "response": "arr", "id": 1}
    found = forms.understand(write(tmp_path / "rows.jsonl", [row, row | {"tools": '[{"name": "f"}]'}]))
    assert found.remarks == {"system": 2, "tools": 1}
    found = forms.understand(write(tmp_path / "orca.jsonl", [orca]))
    assert (
        found.remarks == {"system": 1} and found.form.columns["system"] == "system_prompt" and [*found.unread] == ["id"]
    )


@pytest.mark.parametrize(
    "word",
    [
        "nan",
        "NaN",
        "None",
        "NULL",
        "null",
        "<NA>",
        "\u200b",
        "\ufeff",
        " \u2060\u200d\n",
        "\u2800\u3164",
        "\u202a\u202c",
        "#N/A",
    ],
)
def test_words_for_a_missing_value_are_empty_and_counted(tmp_path, word):
    rows = [{"instruction": "q", "input": word, "output": "a"}, {"instruction": "r", "input": "", "output": word}]
    rows += [{"messages": chat("q", word)}]
    found = forms.understand(write(tmp_path / "rows.jsonl", rows[:2]))
    assert found.table[["input", "output"]].to_numpy().tolist() == [["", "a"], ["", ""]]
    assert found.remarks == {"absent": 2}
    assert forms.understand(write(tmp_path / "chat.jsonl", rows[2:])).table["output"].tolist() == [""]


def test_other_words_stay(tmp_path):
    rows = [{"prompt": "q", "response": word} for word in ("none", "N/A", "No", "a nan", "0", "\u2063?")]
    found = forms.understand(write(tmp_path / "rows.jsonl", rows))
    assert found.table["output"].tolist() == [row["response"] for row in rows]
    assert found.remarks == {"not applicable": 2}


def test_where_takes_rows_by_their_columns_and_counts_the_others(tmp_path):
    rows = [{"prompt": f"q{number}", "completion": "a", "label": number % 3 > 0, "source": "x"} for number in range(9)]
    path = write(tmp_path / "rows.jsonl", rows)
    found = forms.understand(path, where={"label": True})
    assert (found.records, found.filtered, found.numbers.tolist()) == (9, 3, [1, 2, 4, 5, 7, 8])
    assert [*found.unread] == ["source"]
    assert forms.understand(path).unread["label"] == {"false": 3, "true": 6}
    assert len(forms.read(path, "auto", where={"label": [True, False]})) == 9
    assert forms.read(path, "auto", where={"label": True}).attrs["left_out"] == {"left out by where": 3}
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    assert len(forms.read(tmp_path / "rows.csv", "auto", where={"label": True})) == 6
    for where, said in (
        ({"lable": True}, "no column 'lable', which `where` names; did you mean 'label'"),
        ({"label": "good"}, r"no row has label good, which `where` wants \(there are: 'true' \(6\), 'false' \(3\)\)"),
    ):
        with pytest.raises(BallastError, match=said):
            forms.understand(path, where=where)


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (None, "the chat is missing or no list of messages"),
        ([], "the chat is missing or no list of messages"),
        ("hello", "the chat is text, and no JSON list of messages"),
        (["hello"], "message 0 is no object of role and content"),
        (chat([{"type": "text", "text": None}], "a"), "message 0: its content is missing or not text"),
        (chat([{"type": "text"}], "a"), "message 0: its content is missing or not text"),
        (chat([{"type": "image_url", "image_url": "x"}], "a"), "message 0: its content is missing or not text"),
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
