"""Rewriting a pool as refusals: through a real HTTP server on this machine, and through a tiny model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.chat_server import REFUSAL, ChatServer, reply

from ballast import schemas
from ballast.asking import language_model
from ballast.asking.prompts import PairTemplate
from ballast.data.rows import PAIR, with_ids
from ballast.files import BallastError, read_json, read_jsonl
from ballast.labels.rewriting import rewrite
from ballast.plugins import HOME
from ballast.study.sections import Endpoint, LanguageModel

TEMPLATE = str(HOME / "rewriting.json")
SECRET = "sk-a-key-that-must-not-show"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short waits between tries, and no proxy for this machine."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def pool_of(pairs: list[tuple[str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(pairs, columns=["instruction", "output"]).assign(input="")
    return with_ids(table[list(PAIR)], PAIR, "test")


POOL = pool_of([(f"request {number} {{response}} 100 %", f"harm {number} {{prompt}}") for number in range(10)])


def options(server: ChatServer, **changed) -> dict:
    endpoint = {"url": server.url, "model": "m", "usd_per_million_input": 0.15, "usd_per_million_output": 0.6}
    return LanguageModel.model_validate({"endpoint": Endpoint.model_validate(endpoint | changed)}).model_dump()


def asked_for(text: str) -> int:
    """The number of the pool's row that a rendered text asks for."""
    return next(n for n in range(10) if f"request {n} " in text)


def numbered(text, times):
    return reply(f" I cannot help with request {asked_for(text)}. \n", usage=(700 + asked_for(text), 20))


def test_each_row_gets_its_own_refusal_and_a_new_id_in_the_order_of_the_pool():
    with ChatServer(numbered) as server:
        rows, log = rewrite(POOL, options(server), TEMPLATE, 64, 0.0)
    schemas.PAIRS.validate(rows)
    assert rows["output"].tolist() == [f"I cannot help with request {number}." for number in range(10)]
    assert rows["instruction"].tolist() == POOL["instruction"].tolist()
    assert rows["id"].tolist() == with_ids(rows.drop(columns="id"), PAIR, "test")["id"].tolist()
    assert not set(rows["id"]) & set(POOL["id"])
    assert log["rows_asked"] == log["rows_rewritten"] == 10 and log["rows_failed"] == log["rows_repeated"] == 0
    assert log["input_tokens"] == 10 * 700 + 45 and log["output_tokens"] == 200
    assert log["cost_usd"] == pytest.approx((7045 * 0.15 + 200 * 0.6) / 1e6)
    assert log["model"] == "m" and log["retries"] == 0 and log["template"]
    template = PairTemplate.load(TEMPLATE)
    wanted = {template.render(f"request {n} {{response}} 100 %", f"harm {n} {{prompt}}") for n in range(10)}
    assert {request["messages"][0]["content"] for request in server.requests} == wanted
    assert {request["max_tokens"] for request in server.requests} == {64}


def test_rows_without_a_usable_refusal_are_left_out_and_counted():
    said = {2: reply(""), 4: reply("harm 4 {prompt}"), 5: reply("Let us talk of something else.")}
    with ChatServer(lambda text, times: said.get(asked_for(text)) or numbered(text, times)) as server:
        rows, log = rewrite(POOL, options(server), TEMPLATE, 64, 0.2)
        with pytest.raises(BallastError) as error:
            rewrite(POOL, options(server), TEMPLATE, 64, 0.1)
    assert rows["instruction"].tolist() == POOL["instruction"].drop([2, 4]).tolist()
    assert (log["rows_failed"], log["rows_unchanged"], log["rows_rewritten"]) == (2, 1, 8)
    assert log["rows_not_opening_as_a_refusal"] == 1 and log["texts_missing"] == {"empty": 1}
    assert "2 of 10 rows got no usable refusal (1 empty, 1 the old response)" in str(error.value)
    assert "max_failed 0.1" in str(error.value) and "harm" not in str(error.value)


def test_a_server_that_fails_for_one_row_costs_that_row_alone():
    broken = ChatServer(lambda text, times: (500, {}, {}) if asked_for(text) == 7 else numbered(text, times))
    with broken as server:
        rows, log = rewrite(POOL, options(server, max_retries=2), TEMPLATE, 64, 0.1)
    assert len(rows) == 9 and log["texts_missing"] == {"HTTP 500": 1} and log["retries"] == 2


def test_equal_content_is_asked_once_and_equal_rewrites_make_one_row():
    # Two harmful replies to one request, as BeaverTails has them; and one text met twice.
    pool = pool_of([("request 1 ", "harm"), ("request 1 ", "other harm"), ("request 2 ", "harm")])
    twice = pd.concat([pool, pool.iloc[[2]].assign(id="again")], ignore_index=True)
    with ChatServer() as server:
        rows, log = rewrite(twice, options(server), TEMPLATE, 64, 0.0)
    assert len(server.requests) == 3 and log["texts"] == 3 and log["input_tokens"] == 30
    assert rows["instruction"].tolist() == ["request 1 ", "request 2 "] and log["rows_repeated"] == 2


def test_the_program_resumes_pays_once_and_shows_no_key_and_no_text(tmp_path):
    pool = tmp_path / "pool.parquet"
    schemas.write(str(pool), POOL, schemas.PAIRS)
    down = [True]

    def behave(text, times):
        return (401, {}, {"error": {"message": SECRET}}) if down and asked_for(text) == 6 else numbered(text, times)

    def program():
        out = ["--out", str(tmp_path / "bad.parquet"), "--log", str(tmp_path / "bad.json")]
        numbers = ["--max-new-tokens", "64", "--max-failed", "0", "--store", str(tmp_path / "store")]
        asked = ["--pool", str(pool), "--template", TEMPLATE, "--options", json.dumps(options(server, concurrency=1))]
        return subprocess.run(
            [sys.executable, HOME.parent / "stage.py", "rewrite", *asked, *numbers, *out],
            env=os.environ | {"OPENAI_API_KEY": SECRET, "OPENAI_LOG": "debug"},
            capture_output=True,
            text=True,
        )

    with ChatServer(behave) as server:
        first = program()
        assert first.returncode == 1 and "HTTP 401" in first.stderr and not (tmp_path / "bad.parquet").exists()
        assert len(server.requests) == 7
        down.clear()
        second = program()
        assert second.returncode == 0, second.stderr
        assert len(server.requests) == 7 + 4, "six were answered before"
    log = read_json(tmp_path / "bad.json")
    assert log["rows_rewritten"] == 10 and log["input_tokens"] == 7045 and log["texts_answered_by_an_earlier_job"] == 6
    assert len(schemas.read(str(tmp_path / "bad.parquet"), schemas.PAIRS)) == 10
    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {SECRET}"}
    for shown in (first.stderr, first.stdout, second.stderr, second.stdout):
        assert SECRET not in shown and "request 1 " not in shown and "harm 1" not in shown
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == 5 and not any(SECRET.encode() in path.read_bytes() for path in written)


def local(model: str, **changed) -> dict:
    section = LanguageModel.model_validate({"path": model, "batch_size": 2, "max_length": 40} | changed).model_dump()
    return section | {"model": model}


def test_a_model_here_resumes_batch_by_batch(model, tmp_path, monkeypatch):
    from ballast.backends import transformers as backend

    texts = [*"abcdefg", "a", "x" * 50]
    plain = backend.answer(model, texts, local(model), 4)
    asked, real = [], backend.continuations

    def fails_at_the_second(*arguments):
        asked.append(len(arguments[4]))
        if len(asked) == 2:
            raise RuntimeError("killed")
        return real(*arguments)

    monkeypatch.setattr(backend, "continuations", fails_at_the_second)
    kept = local(model, batch_size=4) | {"store": str(tmp_path / "store")}
    with pytest.raises(RuntimeError):
        language_model.ask(texts, kept, 4)
    said = language_model.ask(texts, kept, 4)
    assert asked == [4, 4, 4] and said.kept == 4
    assert said.answers == plain and plain[-1] is None and said.missing == {"too long": 1}
    assert said.input_tokens is None and said.distinct == 8
    again = language_model.ask(texts, kept, 4)
    assert again.answers == plain and len(asked) == 3
    longer = language_model.ask(texts, kept | {"max_length": 60}, 4)
    assert longer.kept == 0 and longer.answers[-1] is not None, "a longer limit asks what was too long"
    assert language_model.ask(texts, local(model), 4).answers == plain


def test_a_pool_is_rewritten_by_a_model_here(model):
    rows, log = rewrite(POOL, local(model, max_length=4096), TEMPLATE, 5, 0.9)
    assert len(rows) == log["rows_rewritten"] > 0
    assert log["backend"] == "transformers" and log["model"] == Path(model).name and log["cost_usd"] is None


def test_real_unsafe_rows_come_out_in_the_row_schema(data_dir, tmp_path):
    source = read_jsonl(data_dir / "beavertails/beavertails_exclusive140.schema.jsonl")
    assert len(source) == 140 and not any(row["is_safe"] for row in source)
    pool = pool_of([(row["prompt"], row["response"]) for row in source])
    with ChatServer(lambda text, times: reply(REFUSAL, usage=(len(text) // 4, 12))) as server:
        rows, log = rewrite(pool, options(server) | {"store": str(tmp_path / "store")}, TEMPLATE, 64, 0.0)
    schemas.PAIRS.validate(rows)
    # The comparisons are outside of the asserts, which would print what they compare.
    same = rows["instruction"].tolist() == pool["instruction"].tolist()
    assert same and len(rows) == 140 and set(rows["output"]) == {REFUSAL}
    assert log["rows_asked"] == 140 and log["rows_not_opening_as_a_refusal"] == 0
    texts = {request["messages"][0]["content"] for request in server.requests}
    whole = all(any(text.count(row["prompt"]) and text.count(row["response"]) for text in texts) for row in source)
    assert len(texts) == 140 and whole
    print(f"140 rows: {log['input_tokens'] / 140:.0f} characters / 4 in the mean")
