"""Reasoning that a model writes before its answer is taken off, in one place; nothing else changes."""

import json
import os
import shutil

import pandas as pd
import pytest
from helpers.chat_server import ChatServer, reply
from helpers.tiny_runs import ALPACA_SHAPED, DECODING
from transformers import AutoTokenizer

from ballast import schemas
from ballast.asking import thinking
from ballast.asking.judging import NO_ANSWER, judge_pairs
from ballast.asking.language_model import ask
from ballast.asking.pairwise import compare
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError, read_json
from ballast.labels import category_llm
from ballast.labels.behaviour import behaviour
from ballast.labels.rewriting import rewrite
from ballast.plugins import HOME
from ballast.study.sections import Endpoint
from ballast.study.sources import own_template

SAID = "I cannot help with that."
THOUGHT = "<think>\nI cannot see why. Sure!\n</think>\n\n"
OPEN = "<think>\nLet me see, I cannot"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def asking(server, **more) -> dict:
    return {"endpoint": Endpoint(url=server.url, model="m").model_dump()} | more


@pytest.mark.parametrize(
    "text",
    [
        f"<think>\nThe user asks.\n</think>\n\n{SAID}",
        f"<think>\n\n</think>\n\n{SAID}",
        f"The template opened the block.\n</think>\n\n{SAID}",
        f"no mark but the last one</think>{SAID}",
        f"\n \u200b<THINKING>a</THINKING> {SAID}",
        f"<think>a</think><think>b</think>{SAID}",
        f"<think>a</think>\n<reasoning>b</reasoning>\n{SAID}",
        f"<think>I write <answer> later</think><answer>\n{SAID}\n</answer>",
        f"<thought>a</thought>{SAID}",
        f"<seed:think>a</seed:think>{SAID}",
        f"[THINK]a[/THINK]{SAID}",
        f"\u25c1think\u25b7a\u25c1/think\u25b7{SAID}",
        f"<|begin_of_thought|>a<|end_of_thought|>\n<|begin_of_solution|>{SAID}<|end_of_solution|>",
        f"<|START_THINKING|>a<|END_THINKING|>{SAID}",
        f"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>{SAID}",
        f"<|channel|>final<|message|>{SAID}",
        f"analysisWe must refuse.assistantfinal{SAID}",
    ],
)
def test_reasoning_is_taken_off(text):
    assert thinking.answer(text) == SAID
    assert thinking.counts([text, SAID]) == (1, 0)


@pytest.mark.parametrize("text", ["<think>\nThe user", " <think>", "<think>a</think><think>b", "analysisWe", "[THINK]"])
def test_reasoning_that_never_ends_leaves_no_answer(text):
    assert thinking.answer(text) is None and thinking.counts([text]) == (1, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "  spaces stay \n",
        "R1 writes <think> and </think> around its reasoning.",
        "Close it with `</think>`.",
        "I think so.",
        "analysis of the problem",
        "<answer>5</answer>",
        "<thinker>no</thinker>",
        "a < b > c",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert thinking.answer(text) == text and thinking.counts([text]) == (0, 0)


def test_a_second_closing_mark_is_text():
    assert thinking.answer("<think>a</think>b</think>") == "b</think>"


@pytest.mark.parametrize(
    ("prompt", "mark"),
    [("user: q\nassistant: <think>\n", "<think>\n"), ("assistant: <think>\n\n</think>\n\n", ""), ("<think> q", "")],
)
def test_a_prompt_may_open_the_block(prompt, mark):
    assert thinking.opening(prompt) == mark


def responses(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"prompt": "p", "response": texts, "expected": "7"})


def test_a_judge_never_reads_reasoning_and_what_never_ended_it_is_missing(capsys):
    pairs = responses([THOUGHT + "Here it is.", THOUGHT + SAID, OPEN, SAID]).set_index(pd.Index([5, 3, 9, 1]))
    scores = judge_pairs("refusal-string", pairs, {}, None)
    assert scores.index.tolist() == [5, 3, 9, 1] and scores["score"].fillna(-1).tolist() == [0, 1, -1, 1]
    assert scores["answer_status"].tolist() == ["parsed", "parsed", NO_ANSWER, "parsed"]
    assert "refusal-string reads 3 of 4 responses without their reasoning; 1 of them" in capsys.readouterr().err
    assert behaviour(scores)["behaviour"].tolist() == ["T2", "T1", "unknown", "T1"]
    schemas.JUDGED.validate(scores.assign(prompt_id=list("abcd"))[[*schemas.JUDGED.columns]])
    numbers = responses(["<think>It is 7.</think>9", "<think>9</think>It is 7.", "<think>It is 7."])
    assert judge_pairs("exact-match", numbers, {}, None)["score"].fillna(-1).tolist() == [0, 1, -1]


def test_too_many_unfinished_responses_stop_the_judge():
    for texts, limit in (([OPEN, SAID], 0.2), ([OPEN, OPEN], 1.0)):
        with pytest.raises(BallastError, match="never ended their reasoning.*raise generation.max_new_tokens"):
            judge_pairs("refusal-string", responses(texts), {"max_unparsable": limit}, None)


def test_reasoning_is_never_trained_on_and_unfinished_reasoning_is_unusable():
    table = pd.DataFrame({"instruction": list("abcd"), "output": "harm", "input": ""})
    pool = with_ids(table[list(PAIR)], PAIR, "test")
    said = {"a": THOUGHT + SAID, "b": OPEN, "c": f"no opening mark</think>{SAID}", "d": reply("cut", "length")}

    def behave(text, times):
        row = next(row for row in "abcd" if f"\n{row}\n" in text)
        return said[row] if isinstance(said[row], dict) else reply(said[row])

    with ChatServer(behave) as server:
        rows, log = rewrite(pool, asking(server), str(HOME / "rewriting.json"), 64, 0.5)
        with pytest.raises(BallastError, match=r"2 of 4 rows got no usable refusal \(2 still thinking\)"):
            rewrite(pool, asking(server), str(HOME / "rewriting.json"), 64, 0.4)
    assert rows["instruction"].tolist() == ["a", "c"] and set(rows["output"]) == {SAID}
    assert (log["texts_with_reasoning"], log["texts_still_thinking"], log["rows_failed"]) == (4, 2, 2)


def test_labels_and_comparisons_are_read_behind_the_reasoning(capsys):
    pairs = pd.DataFrame({"prompt": ["p", "q"], "response": ["r", "s"]})
    template = own_template("category-llm")
    with ChatServer(lambda text, times: reply("<think>none, or 3?</think>\n3, 7")) as server:
        labels, _ = category_llm.label(pairs, asking(server, template=template))
    assert labels["categories"].tolist() == [[3, 7]] * 2 and set(labels["status"]) == {"parsed"}
    assert "reasoning cut off 2 answers; 0 of them" in capsys.readouterr().err
    with ChatServer(lambda text, times: reply("<think>3, 7")) as server:
        assert set(category_llm.label(pairs, asking(server, template=template))[0]["status"]) == {"unparsable"}
    options = {"template": own_template("pairwise"), "max_unparsable": 0.5}
    both = pairs.assign(response=[THOUGHT + "one", "two"], other=["uno", OPEN])
    with ChatServer(lambda text, times: reply("<think>second?</think>first")) as server:
        table = compare("judge", both, asking(server, **options))
    assert table["answer_status"].tolist() == ["parsed", NO_ANSWER] and table["score"].fillna(-1).tolist() == [0.5, -1]
    assert not any("think" in request["messages"][0]["content"] for request in server.requests)


def test_a_template_that_opens_the_block_is_known(model, tmp_path, run_stage):
    """A random model never closes it: each response is reasoning, and the record says so."""
    folder = shutil.copytree(model, tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template += "<think>\n"
    tokenizer.save_pretrained(folder)
    local = {"backend": "transformers", "model": str(folder), "batch_size": 2, "max_length": 400, "dtype": "float32"}
    said = ask(["a", "b"], local | {"chat": True}, 4)
    assert said.answers == ["", ""] and said.unfinished == 2
    assert ask(["a", "b"], local, 4).unfinished == 0
    asked = pd.DataFrame({"id": ["p0", "p1"], "prompt": ["Say a.", "Say b."]})
    schemas.write(tmp_path / "b.parquet", asked.assign(category=pd.array([None] * 2, dtype="Int8")), schemas.BENCHMARK)
    options = DECODING | {"backend": "transformers", "max_prompt_tokens": 400, "batch_size": 3, "system": None}
    out, record = tmp_path / "said.parquet", tmp_path / "said.json"
    for prompt, unfinished in (("chat", 2), ("alpaca", 0)):
        options |= {"prompt": prompt, "template": os.path.abspath(ALPACA_SHAPED)}
        given = ("--benchmarks", f"b={tmp_path / 'b.parquet'}", "--out", out, "--record", record)
        ran = run_stage("generate", "--model", folder, "--options", json.dumps(options), *given)
        assert ran.returncode == 0 and f"{unfinished} still thinking" in ran.stderr, ran.stderr
        assert read_json(record)["responses_still_thinking"] == unfinished
        assert schemas.read(out, schemas.RESPONSES)["response"].str.startswith("<think>").sum() == unfinished
