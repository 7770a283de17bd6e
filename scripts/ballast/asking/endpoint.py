"""Ask an OpenAI-compatible chat endpoint, each distinct text once.

The client does the waits, retries and time limits. No message or log holds a key, a text or a server's words.
"""

import json
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

from openai import APIConnectionError, APIStatusError, APITimeoutError, DefaultHttpxClient, OpenAI

from ballast.asking.answers import Answer, Answers
from ballast.asking.store import Store
from ballast.files import BallastError
from ballast.progress import Progress

LOCAL = ("localhost", "127.0.0.1", "::1")
TOO_LONG, FILTERED, EMPTY, UNREADABLE = "too long", "refused by the server's filter", "empty", "unreadable reply"
REFUSED = "refused with HTTP"
MANY = 50  # refusals in a row that end a job: more than a filter makes by chance
_TOO_LONG = re.compile(
    "(context|model) (length|size)|contextwindowexceeded|(prompt|input) is too long|range of input length"
    "|input token count .*exceeds|maximum number of tokens allowed",
    re.IGNORECASE,
)
# How services name a content filter in an error, in a code or in words that no other error has. OpenAI, Azure, LiteLLM,
# DashScope, DeepSeek, Gemini, Anthropic, Bedrock, OpenRouter, xAI, Zhipu, Volcengine, MiniMax, StepFun.
_FILTER = re.compile(
    r"content[ _-]?(filter|policy[ _-]?violation|moderation|exists risk|management policy)|contentpolicy"
    r"|violat\w* [^.]{0,60}(usage|content|safety) (polic|guideline)|policy_violation|\binvalid_prompt\b"
    r"|responsible ?ai ?policy|data[ _]?inspection[ _]?failed|inappropriate content|considered high risk"
    r"|censorship|prompt blocked|prohibited_content|block_?reason|blocked by (a |the |your )?(safety|guardrail)"
    r"|safety_check|safety filter|guardrail\w*[ _](intervened|violat|polic|triggered)|flagged_input|\bflagged\W+true"
    r"|(input|prompt|request|content|message) (was |has been |is )?flagged|sensitive_?content|new_sensitive"
    r'|"1301"|stop_reason\W+refusal',
    re.IGNORECASE,
)
# How a reply names it as the reason for its end.
_FILTERED = re.compile(
    "content_?filter|safety|prohibited|blocklist|spii|recitation|refusal|sensitive|guardrail|toxic|moderation",
    re.IGNORECASE,
)
HINTS = {
    400: "check the endpoint's model, and whether it takes temperature 0, max_tokens and a JSON schema",
    401: "the key in ${key_env} is not accepted; set the right one and run again",
    403: "the key in ${key_env} may not use this model; check the account, or the endpoint's model",
    404: "check the endpoint's url (it usually ends in /v1) and model",
}


def answer(
    texts: list[str] | list[tuple[str, ...]],
    options: dict,
    max_new_tokens: int,
    schema: dict | None = None,
    store: str | Path | None = None,
) -> Answers:
    """Return answers at temperature 0; `options` is the config's Endpoint section. A tuple is a chat, its user first.

    An answer is missing if it is empty, if the server's filter refused it, if the text is too long, if the server
    refused this text among others that it answered, or if all retries failed; a later job asks again only in the last
    case. Raises BallastError if the server refuses the request itself, or fails so many texts in a row that it must be
    down. The folder `store` keeps answers, so that a killed job resumes where it stopped.
    """
    request = _request(options["model"], max_new_tokens, schema)
    known = Store(store, "endpoint", options["url"], request)
    distinct = list(dict.fromkeys(texts))
    found = {text: Answer(**said) for text in distinct if (said := known.get(text))}
    waiting, kept = [text for text in distinct if text not in found], len(found)
    if waiting:
        with _client(options) as client, ThreadPoolExecutor(options["concurrency"]) as pool:
            asker = _Asker(client, options, request, known, answered=kept > 0)
            futures = {pool.submit(asker.ask, text): text for text in waiting}
            shown = Progress(len(waiting), "texts")
            try:
                for future in as_completed(futures):
                    found[futures[future]] = future.result()
                    shown.add()
                asker.end()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    return Answers.of(texts, found, kept)


def _client(options: dict) -> OpenAI:
    url, variable = options["url"], options["key_env"]
    secret = os.environ.get(variable, "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise BallastError(f"endpoint {url}: the key in ${variable} holds letters that no key has; copy it anew")
    if not secret and urlsplit(url).hostname not in LOCAL:
        raise BallastError(
            f"endpoint {url}: no key in the environment variable {variable}; set it (to anything, for a server that "
            "asks for none), or name another one in key_env"
        )
    return OpenAI(
        base_url=url,
        api_key=secret or "none",
        timeout=options["timeout"],
        max_retries=options["max_retries"],
        # A redirect would send the prompts to another server, whose answer is no answer of this one.
        http_client=DefaultHttpxClient(follow_redirects=False),
    )


def _request(model: str, max_new_tokens: int, schema: dict | None) -> dict:
    """Return the request fields that are the same for every text."""
    request = {
        "model": model,
        "temperature": 0,
        # Many local servers do not know its successor, max_completion_tokens.
        "max_tokens": max_new_tokens,
    }
    if schema is not None:
        shape = {"name": "answer", "schema": schema, "strict": True}
        request["response_format"] = {"type": "json_schema", "json_schema": shape}
    return request


class _Asker:
    """Asks one text at a time, from several threads, and stops them all if the server is down."""

    def __init__(self, client: OpenAI, options: dict, request: dict, known: Store, answered: bool):
        self._client, self._options, self._request, self._known = client, options, request, known
        self._failed_in_a_row, self._lock, self._stopped = 0, threading.Lock(), threading.Event()
        self._limit = max(options["concurrency"], 3)
        # An answer shows that the request is right, and that the texts refused just before it were refused themselves.
        self._answered, self._refused, self._why = answered, [], ""

    def end(self) -> None:
        """Raise BallastError if the server refused all that it was asked."""
        if self._refused and not self._answered:
            raise BallastError(self._why)

    def ask(self, text: str) -> Answer:
        # A thread may take its next text before the main thread cancels the rest.
        if self._stopped.is_set():
            return Answer(None, "not asked")
        try:
            return self._ask(text)
        except BaseException:
            self._stopped.set()
            raise

    def _ask(self, text: str) -> Answer:
        turns = (text,) if isinstance(text, str) else text
        messages = [{"role": ("user", "assistant")[place % 2], "content": one} for place, one in enumerate(turns)]
        try:
            raw = self._client.chat.completions.with_raw_response.create(messages=messages, **self._request)
            answer = _read(raw.content, raw.retries_taken)
        except APITimeoutError as error:
            answer = Answer(None, "timeout", retries=_retries(error))
        except APIConnectionError as error:
            answer = Answer(None, "no connection", retries=_retries(error))
        except APIStatusError as error:
            answer = self._status(error, text)
        self._keep(text, answer)
        return answer

    def _keep(self, text: str, answer: Answer) -> None:
        """Keep a final answer; the next job asks again after a failure. Raise BallastError after many in a row."""
        final, refused = answer.missing in (None, EMPTY, FILTERED, TOO_LONG), _is_refused(answer)
        row = [(text, vars(answer))]
        with self._lock:
            self._answered |= final
            self._failed_in_a_row = 0 if final else self._failed_in_a_row + (not refused)
            self._refused += row if refused else []
            kept, self._refused = (self._refused + row, []) if final else ([], self._refused)
            many = len(self._refused) >= MANY if refused else self._failed_in_a_row >= self._limit
        self._known.add(kept)
        if many:
            raise BallastError(
                self._why
                if refused
                else f"endpoint {self._options['url']}: {self._limit} texts in a row got no answer "
                f"({answer.missing}; max_retries {self._options['max_retries']}); "
                "see whether the server is up, then run again: what it answered is kept"
            )

    def _status(self, error: APIStatusError, text: str) -> Answer:
        """Return the answer that a 4xx or 5xx means for one text; raise BallastError if it means the same for all."""
        status, retries = error.status_code, _retries(error)
        if status < 400:
            raise BallastError(
                f"endpoint {self._options['url']}: HTTP {status}: it redirects to another address, and prompts go "
                "nowhere but to the one in the config; set url to the server's own address"
            ) from None
        named = status not in (401, 402, 404, 408, 409, 429) and _is_filter(
            error.response.content, *((text,) if isinstance(text, str) else text), self._options["model"]
        )
        if named or status in (446, 451):
            return Answer(None, FILTERED, retries=retries)
        if status in (408, 409, 429) or status >= 500:
            return Answer(None, f"HTTP {status}", retries=retries)
        # OpenAI names the error in `code`; vLLM and llama.cpp only in the message.
        if error.code == "context_length_exceeded" or (status in (400, 413) and _TOO_LONG.search(error.message)):
            return Answer(None, TOO_LONG, retries=retries)
        code = f", {error.code}" if re.fullmatch("[A-Za-z_]{1,40}", str(error.code)) and error.code else ""
        hint = HINTS.get(status, HINTS[400]).replace("{key_env}", self._options["key_env"])
        self._why = f"endpoint {self._options['url']}: HTTP {status}{code}: {hint}"
        # A 400 may mean one text: the next ones show it. So may any other, once there are answers.
        if status == 400 or (self._answered and status not in (401, 402, 403, 404)):
            return Answer(None, f"{REFUSED} {status}{code}", retries=retries)
        raise BallastError(self._why) from None


def _read(body: bytes, retries: int) -> Answer:
    """Return the answer in a server's reply; a reply of another shape is a missing answer."""
    try:
        reply = json.loads(body)
        choice, usage = reply["choices"][0], reply.get("usage") or {}
        text, ending = choice["message"].get("content"), choice.get("finish_reason")
        endings = [choice.get(name) for name in ("finish_reason", "native_finish_reason", "stop_reason")]
        refused = bool(choice["message"].get("refusal") or any(_FILTERED.search(str(one)) for one in endings))
        tokens = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        if isinstance(text, list):  # Magistral's parts: thinking, then text
            text = "".join(part["text"] for part in text if part["type"] == "text")
        if not isinstance(text, str | None) or choice.get("error"):
            raise TypeError
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return Answer(None, FILTERED if _is_filter(body) else UNREADABLE, retries=retries)
    tokens = [count if isinstance(count, int) else None for count in tokens]
    # JSON may hold half a surrogate pair, which cannot be written to a file.
    text = (text or "").encode("utf-8", "replace").decode()
    if refused or not text.strip():
        return Answer(None, FILTERED if refused else EMPTY, *tokens, retries)
    return Answer(text, None, *tokens, retries, cut=ending == "length")


def _is_filter(body: bytes, *ours: str) -> bool:
    """Return whether a server's JSON names a content filter; `ours` are texts that it may send back."""
    try:
        said = json.dumps(json.loads(body), ensure_ascii=False)
    except (ValueError, RecursionError):
        return False  # a proxy's page says nothing of one text
    for text in filter(_FILTER.search, ours):
        said = said.replace(json.dumps(text, ensure_ascii=False)[1:-1], "")
    return _FILTER.search(said) is not None


def _is_refused(answer: Answer) -> bool:
    return (answer.missing or "").startswith(REFUSED)


def _retries(error: APIStatusError | APIConnectionError) -> int:
    """Return how often the client had retried the failed request, by its own count."""
    return int(error.request.headers.get("x-stainless-retry-count", 0))
