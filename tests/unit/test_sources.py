"""Fetching from a real HTTP server: what is refused, what is recorded, and that a failed fetch leaves nothing."""

import hashlib
import json
import lzma
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from helpers.hub import COMMIT, TOKEN, Hub, ask_here, entry, serve

from ballast.data import fetching
from ballast.data.records import records
from ballast.files import BallastError, digest, read_json
from ballast.identity import code_identity
from ballast.running import manifest
from ballast.study import config, sources
from ballast.study.places import Source

ROOT = Path(__file__).parents[2]
ROWS = json.dumps([{"instruction": "Name a river.", "input": "", "output": "The Rhine."}]).encode()
PARTS = ("train", "test")
WEIGHTS = {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"tensors", "tokenizer.json": b"{}"}
REPOSITORIES = {
    "us/rows": {"data.json": ROWS, "loader.py": b"print()"},
    "us/model": WEIGHTS,
    "us/code": WEIGHTS | {"config.json": b'{"auto_map": {"AutoModel": "modeling.Us"}}'},
    "us/pickled": {"config.json": b"{}", "pytorch_model.bin": b"\x80"},
    "us/closed": {"data.json": ROWS},
    "us/parts": {f"{part}.jsonl.xz": lzma.compress(b'{"prompt": "%s"}\n' % part.encode()) for part in PARTS},
}


@pytest.fixture
def hub():
    hub = Hub(REPOSITORIES, gated={"us/closed"})
    server = serve(hub)
    yield hub
    server.shutdown()


@pytest.fixture
def stage(hub, tmp_path, monkeypatch, run_stage):
    """A stage that asks the hub, in a folder of its own; the environment of one call in capitals."""

    def run(name: str, *arguments: str, offline: bool = False, **environment: str) -> subprocess.CompletedProcess:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            ask_here(patch, hub, tmp_path / "home", offline)
            for key, value in environment.items():
                patch.setenv(key, value)
            return run_stage(name, *arguments)

    return run


@pytest.fixture
def fetch(stage):
    def run(*flags: str, source: dict, **changed) -> subprocess.CompletedProcess:
        return stage("fetch", "--name", "ours", "--source", json.dumps(source), "--out", "ours", *flags, **changed)

    return run


def refused(done: subprocess.CompletedProcess, folder: Path, *words: str) -> None:
    assert done.returncode == 1, done.stderr
    said, cost = done.stderr.splitlines()[-2:]
    assert said.startswith("fetch: source ours: ") and "CPU seconds" in cost and "Traceback" not in done.stderr
    assert all(word in said for word in words), said
    assert not (folder / "ours").exists(), "a failed fetch leaves nothing"


def test_a_dataset_comes_with_a_manifest_of_its_bytes(hub, fetch, tmp_path):
    wanted = f"sha256:{hashlib.sha256(ROWS).hexdigest()}"
    done = fetch(source=entry(files={"data.json": wanted}))
    assert done.returncode == 0, done.stderr
    manifest = read_json(tmp_path / "ours/source.json")
    assert (tmp_path / "ours/data.json").read_bytes() == ROWS
    assert manifest["revision"] == COMMIT and manifest["sha256"] == {"data.json": wanted.removeprefix("sha256:")}
    assert manifest["hub"] == "us/rows" and manifest["licence"] == "CC0"
    assert all(COMMIT in asked for asked in hub.asked if "us/rows" in asked), "never the newest revision"


def test_a_dataset_of_several_files_is_read_as_one(fetch, tmp_path):
    parts = {f"{part}.jsonl.xz": "unknown" for part in PARTS}
    source = entry(hub="us/parts", files=parts)
    assert fetch(source=source).returncode == 0
    read = tmp_path / "ours" / sources.file_name("ours", Source.model_validate(source))
    assert [row["prompt"] for row in records(read)] == ["test", "train"]
    assert set(read_json(tmp_path / "ours/source.json")["sha256"]) == {*parts, "joined.jsonl.xz"}
    wrong = entry(hub="us/parts", files=parts | {"test.jsonl.xz": f"sha256:{'0' * 64}"})
    refused(fetch(source=wrong), tmp_path, "test.jsonl.xz", "is not what was")


def test_git_blob_ids_are_what_git_says(tmp_path):
    (tmp_path / "file").write_bytes(ROWS)
    said = subprocess.run(["git", "hash-object", tmp_path / "file"], capture_output=True, text=True).stdout.strip()
    assert fetching.git_blob(tmp_path / "file") == said


@pytest.mark.parametrize("wrong", [f"sha256:{'0' * 64}", f"git-blob:{'0' * 40}"])
def test_a_wrong_digest_is_refused(fetch, tmp_path, wrong):
    refused(fetch(source=entry(files={"data.json": wrong})), tmp_path, "data.json", "is not what was")


def test_a_file_of_github_is_that_of_the_pinned_revision_and_comes_once(fetch, tmp_path):
    revisions = {letter: letter * 40 for letter in "ab"}
    for letter, revision in revisions.items():
        (tmp_path / "github/us/rows" / revision).mkdir(parents=True)
        (tmp_path / "github/us/rows" / revision / "data.json").write_text(f'[{{"instruction": "{letter}"}}]')
    files = {"data.json": f"git-blob:{fetching.git_blob(tmp_path / 'github/us/rows' / revisions['b'] / 'data.json')}"}
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path / "github")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"http://127.0.0.1:{server.server_port}"
        for letter, pins in (("a", {"data.json": "unknown"}), ("b", files)):
            source = entry(hub=None, github="us/rows", revision=revisions[letter], files=pins)
            done = fetch(source=source, BALLAST_GITHUB=host)
            assert done.returncode == 0, done.stderr
            assert [*records(tmp_path / "ours/data.json")] == [{"instruction": letter}]
            assert read_json(tmp_path / "ours/source.json")["revision"] == revisions[letter]
        server.shutdown()
    assert fetch(source=source, BALLAST_GITHUB=host).returncode == 0, "the cache has it, and nobody is asked"
    missing = entry(hub=None, github="us/rows", revision="c" * 40, files={"data.json": "unknown"})
    refused(fetch(source=missing, offline=True), tmp_path, "us/rows", "c" * 40, "not in the cache")


def test_an_unknown_revision_is_refused_unless_allowed_and_then_recorded(fetch, tmp_path):
    source = entry(revision="unknown")
    refused(fetch(source=source), tmp_path, "revision is unknown", "allow_unpinned: true")
    assert fetch("--allow-unpinned", source=source).returncode == 0
    assert read_json(tmp_path / "ours/source.json")["revision"] == COMMIT


def test_a_gated_source_without_a_token_names_the_page(fetch, tmp_path):
    source = entry(hub="us/closed", gated=True)
    refused(fetch(source=source), tmp_path, "gated", "huggingface.co/datasets/us/closed", "HF_TOKEN")
    done = fetch(source=source, HF_TOKEN=TOKEN)
    assert done.returncode == 0 and TOKEN not in done.stderr + done.stdout


def test_offline_says_exactly_what_is_missing_and_uses_what_is_there(hub, fetch, tmp_path):
    refused(fetch(source=entry(), offline=True), tmp_path, "us/rows", COMMIT, "data.json", "local")
    assert fetch(source=entry()).returncode == 0
    asked = len(hub.asked)
    assert fetch(source=entry(), offline=True).returncode == 0
    assert len(hub.asked) == asked


def test_a_file_that_is_not_there_is_named(fetch, tmp_path):
    refused(fetch(source=entry(files={"other.json": "unknown"})), tmp_path, "has no file other.json")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"files": {"loader.py": "unknown"}}, ["loader.py", "never run"]),
        ({"kind": "model", "hub": "us/pickled", "files": {"*": "unknown"}}, ["pytorch_model.bin", "convert_pickle"]),
        ({"kind": "model", "hub": "us/code", "files": {"*": "unknown"}}, ["auto_map", "never run"]),
    ],
)
def test_what_could_run_code_is_refused(fetch, tmp_path, source, words):
    refused(fetch(source=entry(**source)), tmp_path, *words)


def test_a_model_is_linked_not_copied(fetch, tmp_path):
    assert fetch(source=entry(kind="model", hub="us/model", files={"*": "unknown"})).returncode == 0
    assert (tmp_path / "ours/model.safetensors").is_symlink()
    assert sorted(read_json(tmp_path / "ours/source.json")["sha256"]) == sorted(WEIGHTS)


def test_a_damaged_file_of_the_cache_is_found_and_comes_anew_once_it_is_removed(stage, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, source = "results/s/sources/us", entry(kind="model", hub="us/model", files={"*": "unknown"})
    given = ["--name", "us", "--source", json.dumps(source), "--out", folder]
    assert stage("fetch", "--record", code_identity("fetch"), f"{folder}/source.json", "--", *given).returncode == 0
    Path(folder, "model.safetensors").resolve().write_bytes(b"damaged")
    [found], _, _ = manifest.verify(["results/s"], "snakemake", ["fetch"])
    assert found.artefact == f"{folder}/model.safetensors" and found.repair.startswith("rm ")
    subprocess.run(found.repair.split(" && ")[0], shell=True, check=True)
    assert stage("fetch", *given).returncode == 0
    assert manifest.verify(["results/s"], "snakemake", ["fetch"])[0] == []


def test_a_copy_on_this_machine_is_used_instead(tmp_path, monkeypatch):
    (tmp_path / "mine.json").write_bytes(ROWS)
    monkeypatch.setenv("MY_FILES", str(tmp_path))
    source = entry(revision="unknown", files={"data.json": f"sha256:{'0' * 64}"}, local="$MY_FILES/mine.json")
    manifest = fetching.fetch("ours", source, tmp_path / "ours")
    assert manifest["sha256"] == {"mine.json": digest(tmp_path / "mine.json")} and manifest["revision"] == "local"
    assert str(tmp_path) not in (tmp_path / "ours/source.json").read_text(), "no path of this machine"
    monkeypatch.delenv("MY_FILES")
    with pytest.raises(BallastError, match=r"sources.ours.local: .*'MY_FILES' is not set"):
        fetching.fetch("ours", source, tmp_path / "ours")


def test_what_an_earlier_fetch_left_does_not_stay(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        (tmp_path / name / f"{name}.safetensors").write_bytes(b"")
        fetching.fetch("ours", entry(kind="model", local=str(tmp_path / name)), tmp_path / "ours")
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == [
        "config.json",
        "source.json",
        "two.safetensors",
    ]


def test_a_template_must_be_the_pinned_text_even_in_a_copy(data_dir, tmp_path):
    pinned = config.load(config.read(ROOT / "config/paper.yaml")).sources["wildguard-template"]
    local = str(data_dir / "templates/wildguard.json")
    fetching.fetch("ours", pinned.model_copy(update={"local": local}).model_dump(), tmp_path / "ours")
    assert read_json(tmp_path / "ours/template.json")["template"].count("{prompt}") == 1
    other = pinned.model_copy(update={"local": local, "template": f"sha256:{'0' * 64}"})
    with pytest.raises(BallastError, match="the template is not what was pinned"):
        fetching.fetch("ours", other.model_dump(), tmp_path / "ours")


def test_every_md_judge_policy_is_the_pinned_text(data_dir, tmp_path):
    known = config.load(config.read(ROOT / "config/paper.yaml")).sources
    for name, file in (("task", "task"), ("domain", "domain"), ("domain-card", "domain")):
        local = str(data_dir / f"templates/md_judge_{file}.json")
        source = known[f"md-judge-{name}"].model_copy(update={"local": local})
        fetching.fetch("ours", source.model_dump(), tmp_path / name)
    texts = {read_json(tmp_path / name / "template.json")["template"] for name in ("task", "domain", "domain-card")}
    assert len(texts) == 3


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"revision": "main"}, "a revision is 40 hex digits, or unknown"),
        ({"revision": COMMIT[:7]}, "a revision is 40 hex digits, or unknown"),
        ({"files": dict.fromkeys(["a.json", "b.json"], "unknown")}, "a dataset names exactly one file, or several"),
        ({"files": dict.fromkeys(["a.jsonl.xz", "b.jsonl.gz"], "unknown")}, "several of the hub that end alike"),
        ({"hub": None, "github": "us/rows", "files": dict.fromkeys(["a.jsonl", "b.jsonl"], "unknown")}, "of the hub"),
        ({"files": {"a.json": "md5:1"}}, "'md5:1' is neither sha256"),
        ({"github": "us/rows"}, "exactly one of 'hub', 'github' and 'package'"),
    ],
)
def test_a_pin_that_is_none_is_refused_in_the_config(given, words):
    with pytest.raises(ValueError, match=words):
        entry(**given)


def test_every_source_of_the_paper_is_pinned_or_says_unknown():
    known = config.load(config.read(ROOT / "config/paper.yaml")).sources
    assert len(known) == 53
    assert all(source.revision != "unknown" for source in known.values())
    assert all("unknown" not in source.files.values() for source in known.values() if source.kind == "template")


@pytest.fixture
def doctor(stage):
    def run(sources: dict, **changed) -> subprocess.CompletedProcess:
        around = {key: changed.pop(key) for key in list(changed) if key.isupper() or key == "offline"}
        options = {"sources": sources, "allow_unpinned": False, "backends": ["transformers"]}
        options |= {"keys": [], "results": "results", "runs": 10} | changed
        return stage("doctor", "--options", json.dumps(options), **around)

    return run


def test_the_doctor_finds_nothing_wrong_where_nothing_is(doctor):
    done = doctor({"rows": entry()})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "problem" not in done.stdout and "may be fetched" in done.stdout and "GB free" in done.stdout


@pytest.mark.parametrize(
    ("source", "changes", "words"),
    [
        (
            {"hub": "us/closed", "gated": True},
            {},
            ["gated: accept its terms", "us/closed, then set HF_TOKEN"],
        ),
        ({"hub": "us/closed", "gated": True}, {"HF_TOKEN": "hf_wrong"}, ["this token may not read it"]),
        ({"hub": "us/absent"}, {}, ["shows nothing there"]),
        ({"revision": "unknown"}, {}, ["revision unknown"]),
        ({}, {"offline": True}, ["offline", "data.json"]),
        ({"gigabytes": 1e9}, {}, ["1000000000 GB wanted"]),
        ({}, {"keys": ["A_KEY_THAT_NOBODY_SET"]}, ["A_KEY_THAT_NOBODY_SET", "not set"]),
        ({}, {"bitsandbytes": True}, ["bitsandbytes", "not installed"]),
    ],
)
def test_the_doctor_names_each_thing_in_the_way(doctor, source, changes, words):
    done = doctor({"ours": entry(**source)}, **changes)
    assert done.returncode == 1
    problems = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert any(all(word in line for word in words) for line in problems), done.stdout
    assert "hf_wrong" not in done.stdout + done.stderr
    assert done.stderr.startswith("doctor: ")


@pytest.mark.slow
def test_processes_read_the_hub_and_its_cache_from_their_environment(hub, tmp_path):
    there = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "BALLAST_PRELOAD": ""}
    others = ("HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE")

    def start(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        around = {key: value for key, value in os.environ.items() if key not in others} | there | environment
        command = [sys.executable, ROOT / "scripts/stage.py", name, *arguments]
        return subprocess.run(command, env=around, cwd=tmp_path, capture_output=True, text=True)

    done = start("fetch", "--name", "ours", "--source", json.dumps(entry()), "--out", "ours")
    assert done.returncode == 0 and (tmp_path / "ours/data.json").read_bytes() == ROWS, done.stderr
    options = {"sources": {"rows": entry(), "other": entry(hub="us/model")}, "allow_unpinned": False, "backends": []}
    options |= {"keys": [], "results": "results", "runs": 10}
    done = start("doctor", "--options", json.dumps(options), HF_HUB_OFFLINE="1")
    assert done.returncode == 1 and "in this machine's cache" in done.stdout
    assert "offline" in done.stdout and done.stderr.startswith("doctor: 1 of ")


def test_the_empty_sheet_is_not_taken_for_a_filled_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    raw = config.read(ROOT / "config/mini.yaml")
    raw["labels"]["annotations"] = "results/mini/annotation/sheet.csv"
    with pytest.raises(BallastError, match="labels.annotations: .*: no such file"):
        sources.check(config.load(raw))
    (tmp_path / "results/mini/annotation").mkdir(parents=True)
    (tmp_path / "results/mini/annotation/sheet.csv").write_text("id\n")
    with pytest.raises(BallastError, match="is the empty sheet; give the path of a filled copy"):
        sources.check(config.load(raw))


def test_sources_that_a_config_misnames_are_explained():
    raw = config.read(ROOT / "config/paper.yaml")
    raw["base"] = {"source": "alpaca-smal"}
    with pytest.raises(BallastError, match="base.source: 'alpaca-smal' is not defined; did you mean 'alpaca-small'"):
        sources.check(config.load(raw))
    raw["base"] = {"source": "llama-2-7b"}
    with pytest.raises(BallastError, match="base.source: llama-2-7b is a model, wanted a dataset"):
        sources.check(config.load(raw))
