"""A hub on this machine that takes pushes: the paths of the Hugging Face hub's interface that create and commit use."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import yaml

TOKEN = "hf_a_made_token"
LFS = (".safetensors", ".parquet", ".png")
# Licences that the real hub's validation knows, among those that a test gives, and a model's id.
LICENCES = {"apache-2.0", "cc-by-nc-4.0", "cc-by-4.0", "mit", "llama2", "other"}
ID = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class PushHub:
    """Repositories by (kind, id); the bytes uploaded; each request's step; steps to refuse, with a status."""

    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    created: list[dict] = field(default_factory=list)
    commits: list[list[dict]] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    always_public: bool = False
    url: str = ""


class Handler(BaseHTTPRequestHandler):
    hub: PushHub
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/api/whoami-v2":
            return self._step("whoami", lambda: {"name": "me", "type": "user", "orgs": []})
        found = re.match(r"/api/(model|dataset)s/([^/]+/[^/?]+)", self.path)
        self._step("info", lambda: self._info(*found.groups()))

    def do_PUT(self):
        body = self._body()
        oid = hashlib.sha256(body).hexdigest()
        if not self.path.endswith(oid):
            return self._send(400, {"error": "other bytes than announced"})
        self._step("upload", lambda: self.hub.stored.update({oid: body}) or {})

    def do_POST(self):
        body = self._body()
        if self.path == "/api/repos/create":
            return self._step("create", lambda: self._create(json.loads(body)))
        if self.path == "/api/validate-yaml":
            return self._step("validate", lambda: self._validate(json.loads(body)["content"]))
        if self.path.endswith("/info/lfs/objects/batch"):
            return self._step("batch", lambda: self._batch(json.loads(body)))
        kind, repo, what = re.match(r"/api/(model|dataset)s/([^/]+/[^/]+)/(preupload|commit)/main", self.path).groups()
        if what == "preupload":
            return self._step("preupload", lambda: self._modes(json.loads(body)["files"]))
        self._step("commit", lambda: self._commit(kind, repo, [json.loads(line) for line in body.splitlines()]))

    def _step(self, name, answer):
        self.hub.steps.append(name)
        if self.headers.get("Authorization") != f"Bearer {TOKEN}" and name != "upload":
            return self._send(401, {"error": "Invalid credentials in Authorization header"})
        if name in self.hub.refuse:
            return self._send(self.hub.refuse[name], {"error": f"no {name} for you"})
        said = answer()
        self._send(*said) if isinstance(said, tuple) else self._send(200, said)

    def _info(self, kind, repo):
        found = self.hub.repositories.get((kind, repo))
        if not found:
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        siblings = [{"rfilename": name} for name in found.files]
        return {"id": repo, "sha": "0" * 40, "private": found.private, "tags": [], "siblings": siblings}

    def _create(self, asked):
        self.hub.created.append(asked)
        kind, repo = asked.get("type", "model"), f"{asked['organization']}/{asked['name']}"
        if (kind, repo) in self.hub.repositories:
            return 409, {"error": "You already created this repo"}
        private = asked["visibility"] == "private" and not self.hub.always_public
        self.hub.repositories[kind, repo] = Repository(private, {".gitattributes": b""})
        return {"url": f"{self.hub.url}/{repo}"}

    def _validate(self, content):
        data = yaml.safe_load(re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)[1])
        wrong = [] if data.get("license", "other") in LICENCES else ['"license" must be one of a list']
        wrong += [] if ID.fullmatch(data.get("base_model", "a/b")) else ['"base_model" is no id']
        wrong += ['"license_name" is needed'] if data.get("license") == "other" and "license_name" not in data else []
        return (400, {"errors": [{"message": said} for said in wrong]}) if wrong else {"warnings": []}

    def _modes(self, files):
        modes = {file["path"]: "lfs" if file["path"].endswith(LFS) else "regular" for file in files}
        said = [
            {"path": path, "uploadMode": mode, "shouldIgnore": path in self.hub.ignored} for path, mode in modes.items()
        ]
        return {"files": said}

    def _batch(self, asked):
        objects = []
        for one in asked["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}
            objects.append(one if one["oid"] in self.hub.stored else one | {"actions": upload})
        return {"transfer": "basic", "objects": objects}

    def _commit(self, kind, repo, lines):
        added = {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "lfsFile":
                added[value["path"]] = self.hub.stored[value["oid"]]
            else:
                added[value["path"]] = base64.b64decode(value["content"])
        self.hub.commits.append(lines)
        self.hub.repositories[kind, repo].files |= added
        return {"commitUrl": f"{self.hub.url}/{repo}/commit/{'0' * 40}", "commitOid": "0" * 40}

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _send(self, status, said, headers=None):
        content = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments) -> None:
        pass


def serve(hub: PushHub) -> ThreadingHTTPServer:
    """Serve the hub on a free port in a thread; `hub.url` then names it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"hub": hub}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    return server
