"""A hub on this machine: the few paths of the Hugging Face hub's HTTP interface that fetching and the doctor use."""

import hashlib
import json
import logging
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ballast.study.places import Source

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_a_made_token"
PATH = re.compile(
    r"/(?:api/)?(?:(?P<kind>models|datasets)/)?(?P<id>[^/]+/[^/]+)/"
    r"(?P<what>revision|tree|resolve|auth-check)(?:/(?P<revision>[^/?]+))?(?:/(?P<path>[^?]*))?"
)


def entry(**given) -> dict:
    """Return a source of the hub, as the config holds it; `given` replaces its keys."""
    known = {"kind": "dataset", "hub": "us/rows", "revision": COMMIT, "files": {"data.json": "unknown"}}
    return Source.model_validate({**known, "licence": "CC0", "used_for": "a test", **given}).model_dump()


@dataclass
class Hub:
    """Repositories (id -> path -> bytes), which of them are gated, what was asked, and how long an answer takes."""

    repositories: dict[str, dict[str, bytes]]
    gated: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    seconds: float = 0


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(body=True)

    def do_HEAD(self):
        self._answer(body=False)

    def _answer(self, body: bool) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        time.sleep(self.hub.seconds)
        found = PATH.match(self.path)
        repository = found and self.hub.repositories.get(found["id"])
        if repository is None:
            return self._send(404, b"{}", body, {"X-Error-Code": "RepoNotFound"})
        if found["id"] in self.hub.gated and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._send(403, b"{}", body, {"X-Error-Code": "GatedRepo"})
        if found["what"] == "auth-check":
            return self._send(200, b"{}", body)
        if found["what"] == "resolve":
            if found["path"] not in repository:
                return self._send(404, b"", body, {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
            content = repository[found["path"]]
            etag = hashlib.sha1(content, usedforsecurity=False).hexdigest()
            return self._send(200, content, body, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT})
        if found["revision"] not in (COMMIT, "main"):
            return self._send(404, b"{}", body, {"X-Error-Code": "RevisionNotFound"})
        files = [
            {"type": "file", "path": path, "rfilename": path, "size": len(content), "oid": "0" * 40}
            for path, content in repository.items()
        ]
        if found["what"] == "tree":
            return self._send(200, json.dumps(files).encode(), body)
        described = {"id": found["id"], "sha": COMMIT, "private": False, "tags": [], "siblings": files}
        return self._send(200, json.dumps(described).encode(), body)

    def _send(self, status: int, content: bytes, body: bool, headers: dict | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        pass


def serve(hub: Hub) -> ThreadingHTTPServer:
    """Serve the hub on a free port in a thread; `hub.url` then names it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": hub}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    return server


def ask_here(patch: pytest.MonkeyPatch, hub: Hub, home: Path, offline: bool = False) -> None:
    """Have this process ask the hub and keep its cache in `home`.

    A process that starts with HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE does so; their library reads them once.
    """
    from huggingface_hub import constants

    # Its own handler keeps the stderr of the first test; pytest's shows what it says.
    patch.setattr(logging.getLogger("huggingface_hub"), "handlers", [])
    patch.setattr(constants, "ENDPOINT", hub.url)
    patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}")
    patch.setattr(constants, "HF_HOME", str(home))
    patch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    patch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
    patch.setattr(constants, "HF_HUB_OFFLINE", offline)
    patch.delenv("HF_TOKEN", raising=False)
