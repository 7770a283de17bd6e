"""The manifest: what a row says of each kind of file, and what verification finds."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from ballast.files import BallastError, digest, read_json, write_csv, write_json, write_parquet
from ballast.identity import code_identity
from ballast.picks import vectors
from ballast.running import manifest
from ballast.running.copies import COPIES

STAGE = Path(__file__).parents[2] / "scripts/stage.py"
STUDY = "results/s"


@pytest.fixture
def study(tmp_path, monkeypatch) -> Path:
    """A working folder with three artefacts of two rules, each with its row."""
    monkeypatch.chdir(tmp_path)
    write_parquet(f"{STUDY}/data/base.parquet", pd.DataFrame({"id": ["a", "b"], "score": [1.0, None]}))
    write_csv(f"{STUDY}/tables/table1.csv", pd.DataFrame({"n": [7], "harm": ["a, b"]}))
    Path("results/worlds/w/models").mkdir(parents=True)
    save_file({"a": np.zeros((2, 2), "float32"), "b": np.zeros(3, "float32")}, "results/worlds/w/models/m.safetensors")
    manifest.record([f"{STUDY}/data/base.parquet"], "data", "c0de", ["--kind", "base", "--rows", "2"])
    manifest.record([f"{STUDY}/tables/table1.csv"], "table", "c0de", ["--options", '{"redact": true}', "--flag"])
    manifest.record(["results/worlds/w/models/m.safetensors"], "world_model", "c0de", [])
    return tmp_path


def findings() -> dict[str, tuple[str, str, str]]:
    found, _, _ = manifest.verify([STUDY, "results/worlds/w"], "snakemake", ["world_model", "data", "table"])
    return {finding.artefact: (finding.wrong, finding.rule, finding.repair) for finding in found}


def flip(path: str) -> None:
    """Change one bit in the middle of a file, and leave its time stamp."""
    times, content = os.stat(path), bytearray(Path(path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(path).write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_row_says_what_the_file_holds_and_what_made_it(study):
    row = read_json(f"{STUDY}/manifest/data/base.parquet.json")
    path = Path(f"{STUDY}/data/base.parquet")
    assert (row["sha256"], row["bytes"]) == (digest(path), path.stat().st_size)
    assert (row["rows"], row["schema"]) == (2, {"id": "large_string", "score": "double"})
    assert (row["artefact"], row["rule"], row["code"]) == (str(path), "data", "c0de")
    assert row["config"] == {"kind": "base", "rows": "2"}
    assert row["versions"]["python"].startswith("3.11") and {"torch", "transformers", "peft"} <= row["versions"].keys()


def test_a_row_of_a_local_copy_names_the_file_on_the_storage(study, monkeypatch):
    monkeypatch.setenv(COPIES, ".snakemake/storage/s3/bucket")
    copy = f".snakemake/storage/s3/bucket/{STUDY}/data/base.parquet"
    Path(copy).parent.mkdir(parents=True)
    Path(f"{STUDY}/data/base.parquet").rename(copy)
    manifest.record([copy], "data", "c0de", ["--out", copy, "--options", json.dumps({"source": copy})])
    row = read_json(f".snakemake/storage/s3/bucket/{STUDY}/manifest/data/base.parquet.json")
    name = f"{STUDY}/data/base.parquet"
    assert (row["artefact"], row["config"]) == (name, {"out": name, "options": {"source": name}})


def test_a_row_of_each_kind_of_file(study):
    table = read_json(f"{STUDY}/manifest/tables/table1.csv.json")
    assert (table["rows"], table["schema"]) == (1, {"n": "text", "harm": "text"})
    assert table["config"] == {"options": {"redact": True}, "flag": True}
    model = read_json("results/worlds/w/manifest/models/m.safetensors.json")
    assert (model["rows"], model["schema"]) == (None, {"F32": "2 tensors"})
    for name, text, rows in (("a.jsonl", "{}\n{}\n", 2), ("a.json", "[1, 2, 3]", 3), ("b.json", "{}", None)):
        Path(name).write_text(text)
        assert manifest.describe(name) == {"rows": rows, "schema": None}
    Path("c.csv").write_text('a,b\n"one\ntwo",3\nthree\u2028four,5\n', encoding="utf-8")
    assert manifest.describe("c.csv")["rows"] == 2, "neither line end inside a cell ends a row"
    vectors.write("e.arrow", ["a", "b"], np.ones((2, 3)))
    columns = {"id": "large_string", "embedding": "fixed_size_list<item: halffloat>[3]"}
    assert manifest.describe("e.arrow") == {"rows": 2, "schema": columns}
    Path("figure.pdf").write_bytes(b"\xff")
    assert manifest.describe("figure.pdf") == {"rows": None, "schema": None}


def test_a_row_holds_every_value_of_an_argument(study):
    table = f"{STUDY}/tables/table1.csv"
    manifest.record([table], "table", "c0de", ["--scores", "a.parquet", "b.parquet", "--options", '{"n": [7]}'])
    config = read_json(f"{STUDY}/manifest/tables/table1.csv.json")["config"]
    assert config == {"scores": ["a.parquet", "b.parquet"], "options": {"n": [7]}}


def test_what_is_whole_is_not_found(study):
    found, artefacts, size = manifest.verify([STUDY, "results/worlds/w"], "snakemake", [])
    named = ("data/base.parquet", "tables/table1.csv", "../worlds/w/models/m.safetensors")
    assert (found, artefacts) == ([], 3) and size == sum(os.path.getsize(f"{STUDY}/{name}") for name in named)


def test_a_flipped_bit_is_found_though_size_and_time_stamp_are_the_same(study):
    flip("results/worlds/w/models/m.safetensors")
    assert findings() == {
        "results/worlds/w/models/m.safetensors": (
            "changed: other bytes than were written",
            "world_model",
            "snakemake --force results/worlds/w/models/m.safetensors",
        )
    }


def test_a_truncated_file_and_a_missing_one_are_found_in_the_order_of_the_data_flow(study):
    Path(f"{STUDY}/tables/table1.csv").unlink()
    os.truncate(f"{STUDY}/data/base.parquet", 9)
    size = read_json(f"{STUDY}/manifest/data/base.parquet.json")["bytes"]
    flip("results/worlds/w/models/m.safetensors")
    found = findings()
    names = ["results/worlds/w/models/m.safetensors", f"{STUDY}/data/base.parquet", f"{STUDY}/tables/table1.csv"]
    assert list(found) == names
    assert found[f"{STUDY}/data/base.parquet"][:2] == (f"torn: it has 9 bytes, and had {size}", "data")
    assert found[f"{STUDY}/tables/table1.csv"][:2] == ("missing", "table")


@pytest.mark.parametrize("text", ["", '{"sha256": "', "[]", "{}"])
def test_a_torn_row_is_found_and_its_artefact_made_again(study, text):
    row = f"{STUDY}/manifest/data/base.parquet.json"
    Path(row).write_text(text)
    repair = f"snakemake --force {STUDY}/data/base.parquet"
    assert findings() == {f"{STUDY}/data/base.parquet": (f"its manifest row is torn ({row})", "unknown", repair)}


def test_files_that_no_row_knows_are_found_but_for_logs_and_what_jobs_keep(study):
    for name in (
        "data/mine.parquet",
        "data/store/mine.parquet",
        "data/.base.parquet.x1y2",
        "logs/a.log",
        "store/a.jsonl",
        "partial/train/a",
        "settled.txt",
    ):
        Path(STUDY, name).parent.mkdir(parents=True, exist_ok=True)
        Path(STUDY, name).write_text("x")
    assert findings() == {
        f"{STUDY}/data/.base.parquet.x1y2": (
            "left by a job that was killed",
            "none",
            f"rm {STUDY}/data/.base.parquet.x1y2",
        ),
        f"{STUDY}/data/mine.parquet": (
            "in no manifest row",
            "unknown",
            f"snakemake --force {STUDY}/data/mine.parquet",
        ),
        f"{STUDY}/data/store/mine.parquet": (
            "in no manifest row",
            "unknown",
            f"snakemake --force {STUDY}/data/store/mine.parquet",
        ),
    }


def test_files_of_no_rule_are_found_after_those_of_the_data_flow(study):
    Path(f"{STUDY}/a.csv").write_text("mine")
    Path(f"{STUDY}/tables/table1.csv").unlink()
    assert list(findings()) == [f"{STUDY}/tables/table1.csv", f"{STUDY}/a.csv"]


@pytest.mark.parametrize(("revision", "removed"), [("0" * 40, True), ("local", False)])
def test_the_files_of_a_fetched_source_are_verified_through_its_manifest(study, revision, removed):
    folder = Path(STUDY, "sources/m")
    folder.mkdir(parents=True)
    Path("cache").write_text("weights")
    (folder / "model.safetensors").symlink_to(Path("cache").resolve())
    (folder / "config.json").write_text("{}")
    files = {name: digest(folder / name) for name in ("config.json", "model.safetensors")}
    write_json(folder / "source.json", {"sha256": files, "revision": revision})
    manifest.record([f"{folder}/source.json"], "fetch", "c0de", [])
    assert findings() == {}
    flip("cache")
    (folder / "config.json").unlink()
    remake = f"snakemake --force {folder}/source.json"
    assert findings() == {
        f"{folder}/config.json": ("missing", "fetch", remake),
        f"{folder}/model.safetensors": (
            "changed: other bytes than were written",
            "fetch",
            f"rm {Path('cache').resolve()} && {remake}" if removed else remake,
        ),
    }


def test_what_lies_outside_a_study_has_no_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for artefact in ("elsewhere/a.csv", "results/a.csv", "results/worlds/a.csv"):
        with pytest.raises(BallastError, match=f"{artefact}: not below results/<study>/"):
            manifest.row_of(artefact)
    for artefact, row in (
        ("a/b/results/s/x/y.csv", "a/b/results/s/manifest/x/y.csv.json"),
        ("/a/results/worlds/w/y.csv", "/a/results/worlds/w/manifest/y.csv.json"),
    ):
        assert str(manifest.row_of(artefact)) == row, "a module's prefix stays before results/"


def data(run_stage, source: str) -> subprocess.CompletedProcess:
    out = f"{STUDY}/data/benchmarks/i.parquet"
    read = ["--kind", "benchmark", "--format", "i-alpaca", "--source", source, "--out", out]
    return run_stage("data", "--record", code_identity("data", "readers/i-alpaca"), out, "--", *read)


def test_a_job_records_what_it_made_and_a_failed_one_nothing(tmp_path, monkeypatch, run_stage):
    monkeypatch.chdir(tmp_path)
    Path("none.json").write_text('{"instructions": []}')
    assert data(run_stage, "none.json").returncode == 1 and not Path("results").exists()
    Path("two.json").write_text('{"instructions": ["a", "b"]}')
    assert data(run_stage, "two.json").returncode == 0
    row = read_json(f"{STUDY}/manifest/data/benchmarks/i.parquet.json")
    code = code_identity("data", "readers/i-alpaca")
    assert (row["rule"], row["code"], row["rows"], row["config"]["source"]) == ("data", code, 2, "two.json")


def test_the_same_job_gives_the_same_row_in_any_process(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("two.json").write_text('{"instructions": ["a", "b"]}')

    def start(name: str, *arguments: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"BALLAST_PRELOAD": ""}
        return subprocess.run(
            [sys.executable, STAGE, name, *arguments], env=environment, capture_output=True, text=True
        )

    row = Path(f"{STUDY}/manifest/data/benchmarks/i.parquet.json")
    rows = [data(start, "two.json") and row.read_bytes() for _ in "ab"]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(("initialised", "device"), [(True, "NVIDIA L40S"), (False, "cpu")])
def test_a_row_names_the_gpu_that_the_job_used(study, monkeypatch, initialised, device):
    cuda = SimpleNamespace(is_initialized=lambda: initialised, get_device_name=lambda: "NVIDIA L40S")
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    manifest.record([f"{STUDY}/tables/table1.csv"], "table", "c0de", [])
    assert read_json(f"{STUDY}/manifest/tables/table1.csv.json")["device"] == device


def test_verification_counts_what_was_adopted(study, run_stage):
    asked = ["--folders", STUDY, "results/worlds/w", "--command", "snakemake", "--rules", "data"]
    assert "adopted" not in run_stage("verify", *asked).stdout
    row = manifest.row_of(f"{STUDY}/tables/table1.csv")
    write_json(row, read_json(row) | {"adopted": [{"from": "c0de"}]})
    done = run_stage("verify", *asked)
    assert done.returncode == 0 and "1 of them were made by earlier code, and adopted" in done.stdout


def test_verification_ends_with_what_to_do(study, run_stage):
    asked = ["--folders", STUDY, "results/worlds/w", "--command", "snakemake --configfile s.yaml", "--rules", "data"]
    whole = run_stage("verify", *asked)
    assert whole.returncode == 0 and "3 artefacts, 0 MB: each is what its manifest row says" in whole.stdout
    flip(f"{STUDY}/data/base.parquet")
    bad = run_stage("verify", *asked)
    assert bad.returncode == 1 and "Traceback" not in bad.stderr
    assert f"repair: snakemake --configfile s.yaml --force {STUDY}/data/base.parquet" in bad.stdout
    assert "verify: 1 files are not as they were made, of 3 artefacts; say each repair in this order" in bad.stderr
    nothing = run_stage("verify", "--folders", "results/none", "--command", "snakemake", "--rules", "data")
    assert nothing.returncode == 1 and "verify: results/none: no artefact to verify" in nothing.stderr
