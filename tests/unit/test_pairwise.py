"""Comparing two runs: both orders, ties, what cannot be read, and that a run against itself gives exactly 50 %."""

import json
import re
from types import SimpleNamespace

import pandas as pd
import pytest
from helpers.chat_server import ChatServer, reply

from ballast import schemas
from ballast.asking.pairwise import Template, compare, compare_scores, parse
from ballast.files import BallastError, write_json
from ballast.study.sections import Endpoint
from ballast.study.sources import own_template
from pairwise import main as stage

NAN = float("nan")
REPLIES = pd.DataFrame(
    {
        "prompt": ["p0", "p1", "p2", "{first} {prompt}"],
        "response": ["long reply", "a", "same", "{second}"],
        "other": ["short", "bbb", "same", "{first}"],
    }
)
SHOWN = re.compile(r"### First reply\n(.*)\n\n### Second reply\n(.*)\n\nAnswer", re.DOTALL)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def longer(text, times):
    """A judge that prefers the longer reply."""
    first, second = map(len, SHOWN.search(text).groups())
    return reply("First." if first > second else "second" if second > first else "**Tie**")


def by_words(behave, pairs=REPLIES, store=None, limit=1.0):
    with ChatServer(behave) as server:
        endpoint = Endpoint(url=server.url, model="m").model_dump()
        options = {"endpoint": endpoint, "template": own_template("pairwise"), "max_unparsable": limit, "store": store}
        return compare("judge", pairs, options), server.requests


def test_a_better_reply_wins_in_both_orders():
    table, asked = by_words(longer)
    assert table["score"].tolist() == [1.0, 0.0, 0.5, 1.0] and (table["first"] == table["second"]).all()
    assert table["answer"].tolist()[:3] == ["First. | second", "second | First.", "**Tie** | **Tie**"]
    assert len(asked) == 7, "two texts a pair, and the pair of equal replies is one text"


def test_a_judge_that_looks_at_the_place_alone_gives_half_to_all():
    for word in ("first", "second", "tie"):
        table, _ = by_words(lambda text, times, word=word: reply(word))
        assert table["score"].tolist() == [0.5] * 4
        assert (table["first"] != table["second"]).all() == (word != "tie")


@pytest.mark.parametrize("pick", [lambda text: hash(text) % 3, lambda text: len(text) % 3, lambda text: 0])
def test_a_run_against_itself_gives_exactly_half_whatever_is_said(pick):
    itself = pd.DataFrame({"prompt": [f"p{n}" for n in range(40)], "response": [f"r{n}" * n for n in range(40)]})
    table, _ = by_words(
        lambda text, times: reply(("first", "second", "tie")[pick(text)]), itself.assign(other=itself["response"])
    )
    assert table["score"].tolist() == [0.5] * 40


def test_one_unreadable_order_makes_the_comparison_missing():
    """An order alone would count where the judge looks first."""

    def half(text, times):
        return reply("I like both" if SHOWN.search(text)[1] == "long reply" else "first")

    table, _ = by_words(half)
    assert table["answer_status"].tolist() == ["unparsable", "parsed", "parsed", "parsed"]
    assert table["score"].isna().tolist() == table["first"].isna().tolist() == [True, False, False, False]
    with pytest.raises(BallastError, match="1 of 4 answers could not be read"):
        by_words(half, limit=0.2)


def test_a_pair_is_asked_once_for_all_runs_and_kept(tmp_path):
    with ChatServer(longer) as server:
        endpoint = Endpoint(url=server.url, model="m").model_dump()
        options = {"endpoint": endpoint, "template": own_template("pairwise"), "max_unparsable": 0, "store": tmp_path}
        first = compare("judge", REPLIES, options)
        swapped = REPLIES.rename(columns={"response": "other", "other": "response"})
        second = compare("judge", swapped, options)
        assert len(server.requests) == 7
    assert (first["score"] + second["score"]).eq(1).all(), "the other run's win rate is what is left"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("first", 1.0),
        (" Second.\n", 0.0),
        ("[[TIE]]", 0.5),
        ('"first"', 1.0),
        ("first second", None),
        ("the first one", None),
        ("A", None),
        ("", None),
        (None, None),
    ],
)
def test_only_the_word_is_read(answer, verdict):
    assert parse(answer) == verdict


@pytest.mark.parametrize(
    "text", ["", "{prompt} {second} {first}", "{prompt} {first}", "{prompt}{first}{first}{second}"]
)
def test_a_template_without_its_three_fields_is_refused(tmp_path, text):
    write_json(tmp_path / "t.json", {"template": text})
    with pytest.raises(BallastError, match="'template' must hold {prompt}, {first} and {second}"):
        Template.load(tmp_path / "t.json")


def judged(scores, status=None):
    rows = {"score": scores, "answer_status": status or ["parsed"] * len(scores)}
    return pd.DataFrame(rows, index=[f"p{n}" for n in range(len(scores))]).astype({"score": float})


def test_scores_are_compared_and_equal_ones_tie():
    ours = judged([3.0, 1.0, 2.0, NAN, 1.0], ["parsed"] * 3 + ["too long", "parsed"])
    theirs = judged([1.0, 3.0, 2.0, 1.0, NAN], ["parsed"] * 4 + ["unparsable"])
    table = compare_scores(ours, theirs, "higher")
    assert table["score"].tolist()[:3] == [1.0, 0.0, 0.5] and table["score"].isna().tolist()[3:] == [True, True]
    assert table["answer_status"].tolist() == ["parsed"] * 3 + ["too long", "unparsable"]
    assert compare_scores(ours, theirs, "lower")["score"].tolist()[:3] == [0.0, 1.0, 0.5]
    assert compare_scores(ours, ours, "higher")["score"].dropna().eq(0.5).all()


def write_responses(path, responses):
    ids = [f"p{n}" for n in range(len(responses))]
    rows = {"benchmark": "b", "id": ids, "prompt": ids, "category": pd.NA, "response": responses}
    more = {"finish_reason": "stop", "prompt_tokens": 1, "response_tokens": 1, "prompt_cut": False}
    schemas.write(str(path), pd.DataFrame(rows | more).astype({"category": "Int8"}), schemas.RESPONSES)
    return str(path)


def test_the_stage_compares_two_files(tmp_path, capsys):
    ours, theirs = (
        write_responses(tmp_path / f"{name}.parquet", said)
        for name, said in (("ours", ["aaa", "b", "cc"]), ("theirs", ["a", "bbb", "cc"]))
    )
    out = str(tmp_path / "out.parquet")
    with ChatServer(longer) as server:
        endpoint = Endpoint(url=server.url, model="m").model_dump()
        options = {"by": "llm", "endpoint": endpoint, "template": own_template("pairwise"), "max_unparsable": 0}
        arguments = {"name": "judge", "options": json.dumps(options), "store": None, "benchmark": "b", "out": out}
        stage(SimpleNamespace(ours=ours, theirs=theirs, **arguments))
    table = schemas.read(out, schemas.COMPARED)
    assert table["prompt_id"].tolist() == ["p0", "p1", "p2"] and table["score"].tolist() == [1.0, 0.0, 0.5]
    assert "win rate 50.0 %, the orders disagree on 0.0 %" in capsys.readouterr().err
    fewer = write_responses(tmp_path / "fewer.parquet", ["a"])
    with pytest.raises(BallastError, match="fewer.parquet: other prompts of b than in"):
        stage(SimpleNamespace(ours=ours, theirs=fewer, **arguments))
