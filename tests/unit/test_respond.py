"""Responses from elsewhere: a file that somebody generated, and a real server."""

import argparse
import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.chat_server import ChatServer, reply

import respond
from ballast import schemas
from ballast.files import BallastError

PROMPTS = ["How do I pick a lock?", "Name a river.", "What is a knot?"]


@pytest.fixture
def rows(tmp_path) -> Path:
    table = pd.DataFrame({"id": list("abc"), "prompt": PROMPTS, "category": pd.NA, "tags": '{"type": "one"}'})
    schemas.write(str(tmp_path / "rows.parquet"), table, schemas.BENCHMARK)
    return tmp_path / "rows.parquet"


def take(rows: Path, **given) -> tuple[pd.DataFrame, dict]:
    out, record = rows.with_name("out.parquet"), rows.with_name("out.json")
    known = {"file": None, "endpoint": None, "columns": "{}", "max_new_tokens": 8, "store": None} | given
    respond.main(argparse.Namespace(**known, benchmarks=[f"b={rows}"], out=str(out), record=str(record)))
    return schemas.read(str(out), schemas.RESPONSES), json.loads(record.read_text())


def test_a_file_in_any_order_is_matched_and_what_is_missing_is_counted(rows):
    file = rows.with_name("theirs.csv")
    pairs = [("what is a KNOT", "A tie."), ("Something else?", "No."), (PROMPTS[0], "I'm sorry, no.")]
    pd.DataFrame(pairs, columns=["question", "answer"]).to_csv(file, index=False)
    table, record = take(rows, file=str(file))
    assert table[["prompt", "response"]].values.tolist() == [[PROMPTS[0], "I'm sorry, no."], [PROMPTS[2], "A tie."]]
    assert record["missing"] == {"not in the file": 1} and record["rows_unused"] == 1 and record["prompts"] == 3


def test_a_prompt_with_two_different_responses_is_refused_and_a_repeat_is_not(rows):
    file = rows.with_name("theirs.jsonl")
    lines = [{"prompt": PROMPTS[1], "response": "The Rhine."}] * 2
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert len(take(rows, file=str(file))[0]) == 1
    file.write_text(file.read_text() + json.dumps(lines[0] | {"response": "The Nile."}) + "\n")
    with pytest.raises(BallastError, match="1 prompts have several different responses, such as that of row 0; keep"):
        take(rows, file=str(file))


def test_a_file_of_other_prompts_is_refused_with_its_numbers(rows):
    file = rows.with_name("theirs.jsonl")
    file.write_text(json.dumps({"prompt": "x y z", "response": "r"}))
    with pytest.raises(BallastError, match="none of 3 prompts has a response: {'not in the file': 3}"):
        take(rows, file=str(file))
    assert not rows.with_name("out.parquet").exists()


def behave(text: str, times: int):
    """A server that is busy first, filters one prompt, and cuts an answer."""
    if times == 0 and text == PROMPTS[1]:
        return 429, {"Retry-After": "0"}, {"error": {"message": "slow down"}}
    if text == PROMPTS[0]:
        return 400, {}, {"error": {"code": "content_filter", "message": "The response was filtered"}}
    return reply("A tie" if text == PROMPTS[2] else "The Rhine.", "length" if text == PROMPTS[2] else "stop")


def test_a_real_server_that_limits_and_filters(rows):
    with ChatServer(behave) as server:
        endpoint = {"url": server.url, "model": "m", "key_env": "NO_KEY", "timeout": 10, "max_retries": 3}
        table, record = take(rows, endpoint=json.dumps(endpoint | {"concurrency": 2}), store=str(rows.parent / "store"))
        asked = len(server.requests)
        again, _ = take(rows, endpoint=json.dumps(endpoint | {"concurrency": 2}), store=str(rows.parent / "store"))
    assert table["response"].tolist() == ["The Rhine.", "A tie"] and again.equals(table)
    assert table["finish_reason"].tolist() == ["stop", "length"] and record["responses_cut"] == 1
    assert record["missing"] == {"refused by the server's filter": 1} and record["retries"] == 1
    assert asked == 4 and {request["max_tokens"] for request in server.requests} == {8}
