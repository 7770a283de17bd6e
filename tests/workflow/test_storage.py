"""Results on a storage of Snakemake: a folder elsewhere, and S3 for jobs that share no disk.

The packages are those of envs/storage.lock; the server of S3 is moto's.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import edits, forked
from helpers.edits import SMALL

from ballast.files import read_json

pytestmark = pytest.mark.workflow
SUBSET = "results/small/subsets/safety/random/n7/t0.csv"
ROW = "results/small/manifest/subsets/safety/random/n7/t0.csv.json"
ELSEWHERE = ("--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache")
BUCKET = "bucket"
KEYS = {f"SNAKEMAKE_STORAGE_S3_{name}": "testing" for name in ("ACCESS_KEY", "SECRET_KEY")}
CODE = ("Snakefile", "workflow", "scripts", "config", SMALL)
LAST = "pyproject.toml"
# Each job starts in an empty folder, as in a container, and without what the submitter exports.
SUBMIT = """#!/bin/sh
place=$(mktemp -d {nodes}/XXXXXX)
cp "$1" "$place/job.sh"
cd "$place" && env -i HOME="$place" PATH={bin}:/usr/bin:/bin OMP_NUM_THREADS=1 setsid sh -c \\
  'sh job.sh > job.log 2>&1; echo $? > status' > /dev/null 2>&1 &
echo "$place"
"""
STATUS = """#!/bin/sh
[ -f "$1/status" ] || { echo running; exit; }
[ "$(cat "$1/status")" = 0 ] && echo success || echo failed
"""


def _absent(*packages: str, program: str = "") -> str:
    """Return why a test is skipped; empty if nothing lacks."""
    lacking = [name for name in packages if not importlib.util.find_spec(name)]
    lacking += [program] if program and not shutil.which(program) else []
    return f"not installed: {', '.join(lacking)}; docs/storage.md names the packages" if lacking else ""


FS = _absent("snakemake_storage_plugin_fs")
RSYNC = _absent("snakemake_storage_plugin_fs", program="rsync")
S3 = _absent("snakemake_storage_plugin_s3", "moto", "flask")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    return edits.checkout(tmp_path_factory.mktemp("code") / "study")


@pytest.fixture(scope="module")
def plain(checkout, tmp_path_factory) -> Path:
    """A checkout in which the subset was picked without a storage."""
    folder = shutil.copytree(checkout, tmp_path_factory.mktemp("plain") / "study", symlinks=True)
    edits.snakemake(folder, SUBSET, "--configfile", SMALL)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    """Return the artefacts below a folder, by name, without logs and manifest rows."""
    names = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(name): (folder / name).read_bytes() for name in names if not {"logs", "manifest"} & set(name.parts)}


def _on_fs(place: Path) -> list[str]:
    return ["--configfile", SMALL, "--default-storage-provider", "fs", "--default-storage-prefix", str(place)]


@pytest.mark.skipif(bool(RSYNC), reason=RSYNC)
def test_a_subset_in_a_folder_elsewhere_has_the_same_bytes_and_its_rows_name_no_local_copy(plain, checkout, tmp_path):
    folder, place = shutil.copytree(checkout, tmp_path / "study", symlinks=True), tmp_path / "elsewhere"
    storage = [*_on_fs(place), *ELSEWHERE]
    edits.snakemake(folder, SUBSET, *storage)
    assert not (folder / "results").exists()
    assert _files(place / "results") == _files(plain / "results")
    row = read_json(place / ROW)
    assert row == read_json(plain / ROW) and row["artefact"] == SUBSET
    assert not edits.pending(folder, SUBSET, *storage)
    (place / SUBSET).unlink()
    assert edits.pending(folder, SUBSET, *storage) == {"sample": 1}
    shutil.copytree(place / "results", plain.parent / "copied/results")
    shutil.copytree(checkout, plain.parent / "copied", symlinks=True, dirs_exist_ok=True)
    done = forked.run(plain.parent / "copied", "verify", "--configfile", SMALL)
    assert done.returncode != 0 and f"{SUBSET}: missing" in done.stdout + done.stderr, "rows travel with the artefacts"


@pytest.mark.skipif(bool(FS), reason=FS)
@pytest.mark.parametrize(
    ("target", "prefix", "line"),
    [
        (
            "verify",
            "elsewhere",
            "verify: results lie on a storage; copy them here for it (docs/storage.md)",
        ),
        (SUBSET, "my/results", "--default-storage-prefix my/results: local copies lie in "),
    ],
)
def test_what_cannot_be_is_one_line_before_any_job(checkout, target, prefix, line):
    done = forked.run(checkout, target, *_on_fs(prefix))
    assert done.returncode != 0 and f"ballast: {line}" in done.stderr and "Traceback" not in done.stderr
    assert not (checkout / prefix).exists()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """Environment of an S3 server on this machine with one empty bucket."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with open(tmp_path_factory.mktemp("moto") / "log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
    environment = os.environ | KEYS | {"SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    try:
        for _ in range(300):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        _s3(environment).create_bucket(Bucket=BUCKET)
        yield environment
    finally:
        server.terminate()
        server.wait()


def _s3(environment: dict[str, str]):
    import boto3

    given = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=environment["SNAKEMAKE_STORAGE_S3_ENDPOINT_URL"], **given)


def _apart(folder: Path) -> list[str]:
    """Return the options of an executor whose jobs see no file of the submitter and none of each other."""
    (folder / "nodes").mkdir()
    places = {"nodes": folder / "nodes", "bin": Path(sys.executable).parent}
    for name, text in (("submit", SUBMIT.format(**places)), ("status", STATUS)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    scripts = ["--cluster-generic-submit-cmd", str(folder / "submit"), "--cluster-generic-status-cmd"]
    executor = ["--executor", "cluster-generic", *scripts, str(folder / "status"), "--jobs", "2"]
    waits = ["--seconds-between-status-checks", "1"]
    storage = ["--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}"]
    return [*executor, *waits, *storage, "--shared-fs-usage", "none", "--job-deploy-sources"]


@pytest.mark.release
@pytest.mark.skipif(bool(S3), reason=S3)
def test_jobs_that_share_no_disk_pass_their_files_through_s3(plain, checkout, bucket, tmp_path):
    folder = shutil.copytree(checkout, tmp_path / "study", symlinks=True)
    options = ["--configfile", SMALL, *_apart(tmp_path)]
    for command in (["init", "--quiet"], ["add", "--", *CODE]):  # Snakemake sends what git knows
        subprocess.run(["git", *command], cwd=folder, check=True)
    done = forked.run(folder, SUBSET, *options, environment=bucket)
    said = "ballast: world_data failed; .snakemake/storage/s3/bucket/results/worlds/small/logs/data.log ends:"
    assert done.returncode != 0 and said in done.stderr, done.stderr[-3000:]
    assert LAST in done.stderr.partition(said)[2], "the log of the other machine"
    subprocess.run(["git", "add", LAST], cwd=folder, check=True)
    shutil.rmtree(tmp_path / "nodes")
    (tmp_path / "nodes").mkdir()
    done = forked.run(folder, SUBSET, *options, environment=bucket)
    logs = [path.read_text() for path in (tmp_path / "nodes").glob("*/job.log")]
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:] + "\n".join(logs)[-3000:]
    assert len(logs) == 3 and not (folder / "results").exists()
    assert not _files(folder / ".snakemake/storage/s3"), "no job ran beside the submitter"
    client, stored = _s3(bucket), tmp_path / "stored"
    for found in client.list_objects_v2(Bucket=BUCKET)["Contents"]:
        (stored / found["Key"]).parent.mkdir(parents=True, exist_ok=True)
        client.download_file(BUCKET, found["Key"], str(stored / found["Key"]))
    assert _files(stored / "results") == _files(plain / "results")
    assert read_json(stored / ROW) == read_json(plain / ROW)


SOURCED = """
extends: small.yaml
sources:
  mine:
    kind: dataset
    hub: org/mine
    revision: unknown
    files: {rows.json: unknown}
    licence: none
    used_for: a test
    format: alpaca
    local: rows.json
allow_unpinned: true
pools:
  safety: {world: null, source: mine}
"""


@pytest.mark.skipif(bool(S3), reason=S3)
def test_a_fetched_source_that_jobs_elsewhere_read_is_refused_in_one_line(checkout, bucket, tmp_path):
    folder = shutil.copytree(checkout, tmp_path / "study", symlinks=True)
    (folder / "rows.json").write_text("[]")
    (folder / "tests/workflow/sourced.yaml").write_text(SOURCED)
    options = ["--configfile", "tests/workflow/sourced.yaml", *_apart(tmp_path)]
    done = forked.run(folder, SUBSET, *options, environment=bucket)
    said = (
        "ballast: data: the files of results/small/sources/mine/source.json are only on this machine's disk; share it"
    )
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr, done.stderr[-3000:]
