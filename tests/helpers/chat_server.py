"""A real HTTP server on this machine that speaks /v1/chat/completions, and misbehaves where a test says so."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REFUSAL = "I cannot help with that, because it would hurt somebody."


def reply(content, finish_reason="stop", usage=(10, 3), **message) -> dict:
    """A whole reply of the endpoint."""
    tokens = {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": sum(usage)} if usage else None
    choice = {
        "index": 0,
        "finish_reason": finish_reason,
        "message": {"role": "assistant", "content": content} | message,
    }
    return {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": tokens}


class ChatServer:
    """`behave(text, times)` says what comes back for a text asked for the nth time (from 0):

    a reply, or a status with headers and a body, or seconds (a float) to hang before REFUSAL.
    `requests` are the bodies that came.
    """

    def __init__(self, behave: Callable = lambda text, times: reply(REFUSAL)):
        self.behave, self.requests, self.headers, self.times = behave, [], [], []
        self._lock, self.most_at_once, self._now = threading.Lock(), 0, 0
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                owner._handle(self)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def say(self, body, times):
        """Return what comes back for a request asked for the nth time."""
        return self.behave(body["messages"][0]["content"], times)

    def _handle(self, handler):
        body = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        text = body["messages"][0]["content"]
        with self._lock:
            before = sum(request["messages"][0]["content"] == text for request in self.requests)
            self.requests.append(body)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self.times.append(time.monotonic())
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        try:
            if handler.path != "/v1/chat/completions":
                return self._send(handler, 404, {}, b"{}")
            said = self.say(body, before)
            if isinstance(said, float):
                time.sleep(said)
                said = reply(REFUSAL)
            status, headers, content = said if isinstance(said, tuple) else (200, {}, said)
            self._send(
                handler, status, headers, content if isinstance(content, bytes) else json.dumps(content).encode()
            )
        finally:
            with self._lock:
                self._now -= 1

    @staticmethod
    def _send(handler, status, headers, content):
        try:
            handler.send_response(status)
            for name, value in ({"Content-Type": "application/json", "Content-Length": len(content)} | headers).items():
                handler.send_header(name, str(value))
            handler.end_headers()
            handler.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client gave up waiting
