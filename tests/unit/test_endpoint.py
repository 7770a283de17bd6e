"""The endpoint, against a real HTTP server on this machine: order, retries, failures, the key, resuming."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.chat_server import REFUSAL, ChatServer, reply

from ballast.asking.endpoint import answer
from ballast.files import BallastError
from ballast.study.sections import Endpoint

SCRIPTS = Path(__file__).parents[2] / "scripts"
SECRET = "sk-a-key-that-must-not-show"
TEXTS = [f"text {number}" for number in range(20)]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Short waits between tries, and no proxy for this machine."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def options(server, **changed) -> dict:
    """The config's section with its defaults, as the workflow passes it on."""
    return Endpoint.model_validate(
        {"url": server if isinstance(server, str) else server.url, "model": "m"} | changed
    ).model_dump()


def echo(text, times):
    return reply(f"answer to {text}", usage=(len(text), 2))


def test_answers_come_in_the_order_of_the_texts_and_tokens_add_up():
    def slow_first(text, times):
        time.sleep(0.2 if text == TEXTS[0] else 0.01)
        return echo(text, times)

    with ChatServer(slow_first) as server:
        said = answer([*TEXTS, TEXTS[3]], options(server, concurrency=4), 7, {"type": "object"})
    assert said.answers == [f"answer to {text}" for text in [*TEXTS, TEXTS[3]]]
    assert (said.input_tokens, said.output_tokens) == (sum(map(len, TEXTS)), 2 * len(TEXTS))
    assert (said.distinct, said.retries, said.missing, said.cut) == (20, 0, {}, 0)
    assert len(server.requests) == 20, "a repeated text is asked once"
    assert 1 < server.most_at_once <= 4
    request = server.requests[0]
    assert request["temperature"] == 0 and request["max_tokens"] == 7 and request["model"] == "m"
    assert request["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_chat_is_sent_as_turns_of_user_and_assistant():
    with ChatServer(echo) as server:
        answer([("One?", "1.", "Two?"), "Alone?"], options(server, concurrency=1), 8)
    sent = [[(turn["role"], turn["content"]) for turn in request["messages"]] for request in server.requests]
    assert sent == [[("user", "One?"), ("assistant", "1."), ("user", "Two?")], [("user", "Alone?")]]


def test_errors_that_pass_are_retried_with_growing_waits():
    with ChatServer(lambda text, times: (500, {}, {}) if times < 3 else echo(text, times)) as server:
        said = answer(TEXTS[:1], options(server, max_retries=3), 8)
    assert said.answers == ["answer to text 0"] and said.retries == 3 and len(server.requests) == 4
    waits = [later - sooner for sooner, later in zip(server.times, server.times[1:], strict=False)]
    assert waits[2] > waits[0], "the client's waits double"


def test_a_rate_limit_is_waited_for_as_long_as_the_server_says():
    limit = (429, {"Retry-After": "1"}, {})
    with ChatServer(lambda text, times: limit if times == 0 else echo(text, times)) as server:
        said = answer(TEXTS[:1], options(server), 8)
    assert said.answers == ["answer to text 0"] and said.retries == 1
    assert server.times[1] - server.times[0] >= 1


@pytest.mark.parametrize(
    ("behaviour", "reason", "requests"),
    [
        ((500, {}, {}), "HTTP 500", 3),
        ((429, {}, {}), "HTTP 429", 3),
        (4.0, "timeout", 3),
        ((200, {}, b"<html>not JSON"), "unreadable reply", 1),
        ((200, {"Content-Type": "text/html"}, b"log in first"), "unreadable reply", 1),
        ((200, {}, {"choices": []}), "unreadable reply", 1),
        ((200, {}, b"[" * 100_000), "unreadable reply", 1),
        (reply(["a", "list"]), "unreadable reply", 1),
        (reply(" \n"), "empty", 1),
        (reply(None), "empty", 1),
        (reply(None, refusal="No."), "refused by the server's filter", 1),
        (reply("Half of", finish_reason="content_filter"), "refused by the server's filter", 1),
        ((400, {}, {"error": {"code": "content_filter", "message": ""}}), "refused by the server's filter", 1),
        ((400, {}, {"error": {"code": "context_length_exceeded", "message": ""}}), "too long", 1),
        ((400, {}, {"error": {"code": 400, "message": "This model's maximum context length is 9"}}), "too long", 1),
    ],
)
def test_a_text_without_an_answer_is_missing_and_says_why(behaviour, reason, requests):
    with ChatServer(lambda text, times: behaviour if text == "bad" else echo(text, times)) as server:
        said = answer(
            ["text 0", "bad", "text 1"], options(server, max_retries=2, timeout=1 if behaviour == 4.0 else 60), 8
        )
    assert said.answers == ["answer to text 0", None, "answer to text 1"] and said.missing == {reason: 1}
    assert sum(request["messages"][0]["content"] == "bad" for request in server.requests) == requests
    assert said.retries == requests - 1


def refused(status, **error):
    return status, {}, {"error": error}


VIOLATES = "Your input was flagged for violence"
FILTERS = {
    "OpenAI": refused(400, code="invalid_prompt", message="Invalid prompt", type="invalid_request_error"),
    "OpenAI, images": refused(400, code="content_policy_violation", message="Your request was rejected"),
    "Azure": refused(400, code="content_filter", message="x"),
    "LiteLLM, Azure": refused(400, code="400", message="x", innererror={"code": "ResponsibleAIPolicyViolation"}),
    "LiteLLM": refused(400, code="400", message="litellm.ContentPolicyViolationError: OpenAIException", type=None),
    "DashScope": refused(400, code="data_inspection_failed", message="Input data may contain inappropriate content."),
    "DashScope, raw": (400, {}, {"code": "DataInspectionFailed", "message": "", "request_id": "x"}),
    "DeepSeek": refused(400, code="invalid_request_error", message="Content Exists Risk", type="invalid_request_error"),
    "Moonshot": refused(400, type="content_filter", message="The request was rejected: considered high risk"),
    "Gemini": (400, {}, [{"error": {"code": 400, "message": "blocked: PROHIBITED_CONTENT", "status": "INVALID"}}]),
    "Anthropic": refused(400, type="invalid_request_error", message="Output blocked by content filtering policy"),
    "Bedrock": refused(400, code="400", message="Violated guardrail policy"),
    "OpenRouter": refused(403, code=403, message=VIOLATES, metadata={"reasons": ["violence"], "flagged_input": "x"}),
    "xAI": (403, {}, {"code": "denied", "error": "Content violates usage guidelines. SAFETY_CHECK_TYPE_BIO"}),
    "Zhipu": refused(400, code="1301", message="x"),
    "Volcengine": refused(400, code="InputTextSensitiveContentDetected", message="x"),
    "StepFun": refused(451, type="censorship_blocked", message="x"),
    "OpenRouter, 200": (200, {}, {"error": {"code": 403, "metadata": {"flagged_input": "x"}}}),
    "Gemini, empty": (200, {}, {"choices": [], "promptFeedback": {"blockReason": "SAFETY"}}),
    "Gemini, ended": reply("half", finish_reason="SAFETY"),
    "Gemini, named": reply(None, finish_reason="content_filter: PROHIBITED_CONTENT"),
    "Anthropic, ended": reply("", finish_reason="refusal"),
    "Bedrock, ended": reply("Sorry.", finish_reason="guardrail_intervened"),
    "Zhipu, ended": reply("", finish_reason="sensitive"),
}


@pytest.mark.parametrize("service", FILTERS)
def test_a_filter_s_refusal_of_one_text_is_a_missing_answer(tmp_path, service):
    behave = lambda text, times: FILTERS[service] if text == "bad" else echo(text, times)  # noqa: E731
    with ChatServer(behave) as server:
        # The refused text is the first: nothing yet shows that the server works.
        for kept in (0, 2):
            said = answer(["bad", "text 0"], options(server, concurrency=1), 8, store=tmp_path / "store")
            assert said.answers == [None, "answer to text 0"] and said.kept == kept
            assert said.missing == {"refused by the server's filter": 1}
        assert len(server.requests) == 2, "it is final, and a later job does not ask it again"


@pytest.mark.parametrize("status", [408, 409, 429])
def test_a_failure_that_passes_is_no_filter_s_refusal_whatever_its_words(tmp_path, status):
    busy = refused(status, code="rate_limit", message="the content_filter is busy")
    with ChatServer(lambda text, times: busy if times == 0 else echo(text, times)) as server:
        ask = (TEXTS[:1], options(server, max_retries=0), 8, None, tmp_path / "store")
        first, second = answer(*ask), answer(*ask)
    assert first.missing == {f"HTTP {status}": 1} and second.answers == ["answer to text 0"]


def test_every_text_may_be_refused_by_a_filter():
    with ChatServer(lambda text, times: FILTERS["DashScope"]) as server:
        said = answer(TEXTS, options(server, concurrency=1), 8)
    assert said.missing == {"refused by the server's filter": 20}


def test_a_text_that_is_refused_among_answers_is_missing_and_kept(tmp_path):
    """Codes that nobody knows yet: the texts around it show that the request is right."""
    behave = lambda text, times: refused(400, code="NewRule", message="x") if "1" in text else echo(text, times)  # noqa: E731
    with ChatServer(behave) as server:
        for kept in (0, 20):
            said = answer(TEXTS[::-1], options(server, concurrency=1), 8, store=tmp_path / "store")
            assert said.missing == {"refused with HTTP 400, NewRule": 11} and said.kept == kept
            assert said.answers.count(None) == 11, "ten of them in a row"
    with ChatServer(lambda text, times: refused(422) if text == "text 3" else echo(text, times)) as server:
        assert answer(TEXTS, options(server, concurrency=1), 8).missing == {"refused with HTTP 422": 1}


def test_a_request_that_is_wrong_for_every_text_ends_the_job(tmp_path):
    store = tmp_path / "store"
    with ChatServer(lambda text, times: refused(400, code="wrong_model", message="x")) as server:
        for texts, requests in ((TEXTS, 20), (TEXTS[:1], 21), (TEXTS * 9, 41), ([*TEXTS, *map(str, range(99))], 91)):
            with pytest.raises(BallastError, match="HTTP 400, wrong_model: check the endpoint's model"):
                answer(texts, options(server, concurrency=1), 8, store=store)
            assert len(server.requests) == requests, "no refusal is kept where nothing was answered"
    many = [f"text {number}" for number in range(99)]
    falls = ChatServer(lambda text, times: echo(text, times) if text < "text 2" else refused(400))
    with falls as server, pytest.raises(BallastError, match="HTTP 400: check"):
        answer(sorted(many), options(server, concurrency=1), 8)
    assert len(server.requests) == 12 + 50


def test_a_wrong_model_or_a_proxy_is_no_filter():
    """Words of a filter in the model's name, in the text that a server sends back, or on a page."""
    echoed = {"code": "bad_value", "message": "model invalid_prompt: 'content_filter \u00e4'"}
    for error in ((400, {}, {"error": echoed}), (403, {}, b"<html>content filter: prompt blocked</html>")):
        with ChatServer(lambda text, times, error=error: error) as server, pytest.raises(BallastError, match="HTTP 40"):
            answer(["content_filter \u00e4"], options(server, model="invalid_prompt"), 8)


def test_parts_of_an_answer_are_joined_without_the_thinking():
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Yes."}]
    with ChatServer(lambda text, times: reply(parts)) as server:
        assert answer(TEXTS[:1], options(server), 8).answers == ["Yes."]


def test_cut_answers_are_counted_and_unknown_tokens_are_not_guessed():
    with ChatServer(lambda text, times: reply("Half an", finish_reason="length", usage=None)) as server:
        said = answer(TEXTS[:2], options(server), 8)
    assert said.cut == 2 and said.input_tokens is None and said.output_tokens is None
    with ChatServer(lambda text, times: reply("Whole.", finish_reason=None if text == TEXTS[0] else "eos")) as server:
        assert answer(TEXTS[:2], options(server), 8).cut == 0, "services name a whole answer's end in their own ways"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "invalid_api_key", "HTTP 401, invalid_api_key: the key in $OPENAI_API_KEY is not accepted"),
        (403, None, "HTTP 403: the key in $OPENAI_API_KEY may not use this model"),
        (404, "model_not_found", "HTTP 404, model_not_found: check the endpoint's url"),
        (422, None, "HTTP 422: check the endpoint's model"),
    ],
)
def test_a_refused_request_stops_at_once_and_echoes_nothing(monkeypatch, caplog, capfd, status, code, words):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    caplog.set_level(logging.DEBUG)
    body = {"error": {"code": code, "message": f"key {SECRET} and text 7 are wrong"}}
    with ChatServer(lambda text, times: (status, {}, body)) as server, pytest.raises(BallastError) as error:
        answer(TEXTS, options(server, concurrency=2), 8)
    assert words in str(error.value) and server.url in str(error.value) and "\n" not in str(error.value)
    assert len(server.requests) <= 2, "no text after the first refusal, but for those under way"
    shown = f"{error.value} {caplog.text} {''.join(capfd.readouterr())}"
    assert SECRET not in shown and "text 7" not in shown


def test_a_refusal_stops_even_while_another_text_hangs():
    first_hangs = ChatServer(lambda text, times: 1.5 if text == TEXTS[0] else (401, {}, {}))
    with first_hangs as server, pytest.raises(BallastError, match="HTTP 401"):
        answer(TEXTS, options(server, concurrency=2), 8)
    assert len(server.requests) <= 2


@pytest.mark.parametrize("behaviour", [(500, {}, {}), 4.0, (200, {}, b"junk")])
def test_a_server_that_is_down_stops_the_job_before_every_text_was_tried(behaviour):
    falls = ChatServer(lambda text, times: echo(text, times) if text < "text 15" else behaviour)
    with falls as server, pytest.raises(BallastError, match="3 texts in a row got no answer.*run again"):
        answer(sorted(TEXTS), options(server, concurrency=1, max_retries=0, timeout=1), 8)
    asked = {request["messages"][0]["content"] for request in server.requests}
    assert len(asked) == 7 + 3, "seven sort before text 15"


def test_texts_that_fail_between_answers_do_not_stop_the_job():
    with ChatServer(lambda text, times: (500, {}, {}) if text[-1] in "02468" else echo(text, times)) as server:
        said = answer(TEXTS, options(server, concurrency=1, max_retries=0), 8)
    assert said.missing == {"HTTP 500": 10} and said.answers[1::2] == [f"answer to {text}" for text in TEXTS[1::2]]


def test_no_server_is_one_line():
    with ChatServer() as server:
        pass
    with pytest.raises(BallastError, match="no connection"):
        answer(TEXTS, options(server, max_retries=1), 8)


def test_the_key_comes_from_the_environment_and_only_a_server_here_does_without(monkeypatch):
    with pytest.raises(BallastError, match="no key in the environment variable MY_KEY; set it"):
        answer(TEXTS[:1], options("https://example.invalid/v1", key_env="MY_KEY"), 8)
    with ChatServer() as server:
        assert answer(TEXTS[:1], options(server, key_env="MY_KEY"), 8).answers == [REFUSAL]
        for mangled in (f"{SECRET}\u2019", f"{SECRET}\nX: {SECRET}"):
            monkeypatch.setenv("MY_KEY", mangled)
            with pytest.raises(BallastError, match="holds letters that no key has") as error:
                answer(TEXTS[:1], options(server, key_env="MY_KEY"), 8)
            assert SECRET not in str(error.value)
        monkeypatch.setenv("MY_KEY", f"{SECRET}\n")
        answer(TEXTS[:1], options(server, key_env="MY_KEY"), 8)
    assert [headers["authorization"] for headers in server.headers] == ["Bearer none", f"Bearer {SECRET}"]


@pytest.mark.parametrize("url", ["localhost:8000/v1", "ftp://localhost/v1", "http://", "http://me:secret@localhost/v1"])
def test_a_url_that_cannot_be_asked_is_refused_by_the_config(url):
    with pytest.raises(ValueError, match="no http address|holds a name, a password"):
        options(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_gets_neither_key_nor_prompts_and_is_no_answer(monkeypatch, status):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with ChatServer(echo) as other:
        away = (status, {"Location": f"{other.url}/chat/completions"}, echo("text 0", 0))
        with ChatServer(lambda text, times: away) as server:
            with pytest.raises(BallastError, match=f"HTTP {status}: it redirects to another address") as error:
                answer(TEXTS[:1], options(server), 8)
            assert len(server.requests) == 1 and not other.requests
    assert SECRET not in str(error.value) and other.url not in str(error.value)


def test_a_failed_job_goes_on_and_asks_only_the_rest(tmp_path):
    store, broken = tmp_path / "partial" / "store", {TEXTS[12]}
    with ChatServer(lambda text, times: (401, {}, {}) if text in broken else echo(text, times)) as server:
        with pytest.raises(BallastError, match="HTTP 401"):
            answer(TEXTS, options(server, concurrency=1), 8, store=store)
        assert len(server.requests) == 13
        broken.clear()
        said = answer(TEXTS, options(server, concurrency=1), 8, store=store)
        assert len(server.requests) == 13 + 8 and said.kept == 12
        assert said.answers == [f"answer to {text}" for text in TEXTS]
        assert (said.input_tokens, said.output_tokens) == (sum(map(len, TEXTS)), 40), "what was paid before counts too"
        assert answer(TEXTS, options(server, timeout=9, concurrency=2), 8, store=store).kept == 20
        assert len(server.requests) == 21, "time limits and concurrency change no answer"
        for changed in ({"max_new_tokens": 9}, {"schema": {"type": "string"}}, {"options": options(server, model="n")}):
            answer(TEXTS[:1], **({"options": options(server), "max_new_tokens": 8, "store": store} | changed))
        assert len(server.requests) == 24, "another length, schema or model is another question"
    with ChatServer(echo) as other:
        said = answer(TEXTS[:1], options(other), 8, store=store)
    assert said.kept == 0 and len(other.requests) == 1, "the same name at another address may be another model"


def test_a_process_that_is_killed_has_kept_what_was_answered(tmp_path):
    store = tmp_path / "store"
    program = (
        "from ballast.asking.endpoint import answer;"
        f"answer([f'text {{n}}' for n in range(20)], %r, 8, store={str(store)!r})"
    )
    with ChatServer(lambda text, times: 30.0 if text == TEXTS[9] and times == 0 else echo(text, times)) as server:
        code = program % options(server, concurrency=1)
        child = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(SCRIPTS)})
        deadline = time.monotonic() + 60
        while len(server.requests) < 10 and time.monotonic() < deadline:
            time.sleep(0.02)
        child.kill()
        child.wait()
        said = answer(TEXTS, options(server), 8, store=store)
    assert said.kept == 9 and len(server.requests) == 10 + 11
    assert said.answers == [f"answer to {text}" for text in TEXTS]


def test_an_empty_answer_is_paid_for_once_and_a_failure_is_asked_again(tmp_path):
    def behave(text, times):
        return {"empty": reply(""), "broken": (500, {}, {}) if times == 0 else reply("fine")}[text]

    with ChatServer(behave) as server:
        ask = (["empty", "broken"], options(server, max_retries=0), 8, None, tmp_path / "kept")
        first, second = answer(*ask), answer(*ask)
    assert first.answers == [None, None] and first.missing == {"HTTP 500": 1, "empty": 1}
    assert second.answers == [None, "fine"] and second.kept == 1 and len(server.requests) == 3


def test_a_file_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with ChatServer() as server, pytest.raises(BallastError, match="could not be written"):
        answer(TEXTS[:1], options(server), 8, store=tmp_path / "file" / "store")
