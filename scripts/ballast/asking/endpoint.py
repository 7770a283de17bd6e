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

from openai import APIConnectionError, APIStatusError, APITimeoutError, OpenAI

from ballast.asking.answers import Answer, Answers
from ballast.asking.store import Store
from ballast.files import BallastError

LOCAL = ("localhost", "127.0.0.1", "::1")
TOO_LONG, FILTERED, EMPTY, UNREADABLE = "too long", "refused by the server's filter", "empty", "unreadable reply"
_TOO_LONG = re.compile("(context|model) (length|size)")
HINTS = {
    400: "check the endpoint's model, and whether it takes temperature 0, max_tokens and a JSON schema",
    401: "the key in ${key_env} is not accepted; set the right one and run again",
    403: "the key in ${key_env} may not use this model; check the account, or the endpoint's model",
    404: "check the endpoint's url (it usually ends in /v1) and model",
}


def answer(
    texts: list[str],
    options: dict,
    max_new_tokens: int,
    schema: dict | None = None,
    store: str | Path | None = None,
) -> Answers:
    """Return answers at temperature 0; `options` is the config's Endpoint section.

    An answer is missing if it is empty, if the server's filter refused it, if the text is too long, or if all retries
    failed; a later job asks again only in the last case. Raises BallastError if the server refuses the request itself,
    or fails so many texts in a row that it must be down. The folder `store` keeps answers, so that a killed job
    resumes where it stopped.
    """
    request = _request(options["model"], max_new_tokens, schema)
    known = Store(store, "endpoint", options["url"], request)
    distinct = list(dict.fromkeys(texts))
    found = {text: Answer(**said) for text in distinct if (said := known.get(text))}
    waiting, kept = [text for text in distinct if text not in found], len(found)
    if waiting:
        with _client(options) as client, ThreadPoolExecutor(options["concurrency"]) as pool:
            asker = _Asker(client, options, request, known)
            futures = {pool.submit(asker.ask, text): text for text in waiting}
            try:
                for future in as_completed(futures):
                    found[futures[future]] = future.result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
    return Answers.of(texts, found, kept)


def _client(options: dict) -> OpenAI:
    url, variable = options["url"], options["key_env"]
    address = urlsplit(url)
    if address.username or address.password or address.query:
        raise BallastError("endpoint: url holds a name, a password or a query; a key belongs in key_env's variable")
    if address.scheme not in ("http", "https") or not address.hostname:
        raise BallastError(f"endpoint: url {url}: not an http address; give one such as http://localhost:8000/v1")
    secret = os.environ.get(variable, "").strip()
    if not (secret.isascii() and secret.isprintable()):
        raise BallastError(f"endpoint {url}: the key in ${variable} holds letters that no key has; copy it anew")
    if not secret and address.hostname not in LOCAL:
        raise BallastError(
            f"endpoint {url}: no key in the environment variable {variable}; set it (to anything, for a server that "
            "asks for none), or name another one in key_env"
        )
    return OpenAI(
        base_url=url, api_key=secret or "none", timeout=options["timeout"], max_retries=options["max_retries"]
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

    def __init__(self, client: OpenAI, options: dict, request: dict, known: Store):
        self._client, self._options, self._request, self._known = client, options, request, known
        self._failed_in_a_row, self._lock, self._stopped = 0, threading.Lock(), threading.Event()
        self._limit = max(options["concurrency"], 3)

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
        messages = [{"role": "user", "content": text}]
        try:
            raw = self._client.chat.completions.with_raw_response.create(messages=messages, **self._request)
            answer = _read(raw.content, raw.retries_taken)
        except APITimeoutError as error:
            answer = Answer(None, "timeout", retries=_retries(error))
        except APIConnectionError as error:
            answer = Answer(None, "no connection", retries=_retries(error))
        except APIStatusError as error:
            answer = self._status(error)
        # Final answers are kept; the next job asks again after any other failure.
        final = answer.missing in (None, EMPTY, FILTERED, TOO_LONG)
        if final:
            self._known.add([(text, vars(answer))])
        with self._lock:
            self._failed_in_a_row = 0 if final else self._failed_in_a_row + 1
            if self._failed_in_a_row >= self._limit:
                raise BallastError(
                    f"endpoint {self._options['url']}: {self._limit} texts in a row got no answer "
                    f"({answer.missing}; max_retries {self._options['max_retries']}); "
                    "see whether the server is up, then run again: what it answered is kept"
                )
        return answer

    def _status(self, error: APIStatusError) -> Answer:
        """Return the answer that a 4xx or 5xx means for one text; raise BallastError if it means the same for all."""
        status = error.status_code
        if status in (408, 409, 429) or status >= 500:
            return Answer(None, f"HTTP {status}", retries=_retries(error))
        # OpenAI names the error in `code`; vLLM and llama.cpp only in the message.
        if error.code == "context_length_exceeded" or (status == 400 and _TOO_LONG.search(error.message)):
            return Answer(None, TOO_LONG, retries=_retries(error))
        if error.code == "content_filter":
            return Answer(None, FILTERED, retries=_retries(error))
        code = f", {error.code}" if re.fullmatch("[a-z_]{1,40}", error.code or "") else ""
        hint = HINTS.get(status, HINTS[400]).replace("{key_env}", self._options["key_env"])
        raise BallastError(f"endpoint {self._options['url']}: HTTP {status}{code}: {hint}") from None


def _read(body: bytes, retries: int) -> Answer:
    """Return the answer in a server's reply; a reply of another shape is a missing answer."""
    try:
        reply = json.loads(body)
        choice, usage = reply["choices"][0], reply.get("usage") or {}
        text, ending = choice["message"].get("content"), choice.get("finish_reason")
        refused = ending == "content_filter" or bool(choice["message"].get("refusal"))
        tokens = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
        if not isinstance(text, str | None):
            raise TypeError
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return Answer(None, UNREADABLE, retries=retries)
    tokens = [count if isinstance(count, int) else None for count in tokens]
    # JSON may hold half a surrogate pair, which cannot be written to a file.
    text = (text or "").encode("utf-8", "replace").decode()
    if refused or not text.strip():
        return Answer(None, FILTERED if refused else EMPTY, *tokens, retries)
    return Answer(text, None, *tokens, retries, cut=ending == "length")


def _retries(error: APIStatusError | APIConnectionError) -> int:
    """Return how often the client had retried the failed request, by its own count."""
    return int(error.request.headers.get("x-stainless-retry-count", 0))
