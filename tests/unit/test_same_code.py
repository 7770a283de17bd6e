"""A job fails where the code on disk is not the code that its rule records, at its start and at its end."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers import edits

from ballast.asking import store
from ballast.files import BallastError
from ballast.running import same_code
from ballast.running.inside_snakemake import PLANNED, InsideSnakemake

OUT = "results/s/data/benchmarks/i.parquet"
READER = "scripts/ballast/readers/i_alpaca.py"
SAY = "print(identity.code_identity(*sys.argv[1:]))"
CODE = f"import sys; sys.path.insert(0, 'scripts'); from ballast import identity; {SAY}"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    return edits.checkout(tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def reader(checkout):
    """A reader that edits the stage's program when it is called, if MEANWHILE says how."""
    before = {name: (checkout / name).read_text() for name in (READER, "scripts/data.py")}
    meanwhile = (
        'import os\nwith open("scripts/data.py", "a") as file:\n    file.write(os.environ.get("MEANWHILE", ""))\n'
    )
    (checkout / READER).write_text(before[READER] + meanwhile)
    (checkout / "two.json").write_text('{"instructions": ["a", "b"]}')
    yield checkout / READER
    for name, text in before.items():
        (checkout / name).write_text(text)


def planned(folder: Path, *names: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", CODE, *names], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def data(folder: Path, code: str, meanwhile: str = "") -> subprocess.CompletedProcess:
    read = ["--kind", "benchmark", "--format", "i-alpaca", "--source", "two.json", "--out", OUT]
    command = [sys.executable, "scripts/stage.py", "data", "--record", code, OUT, "--", *read]
    environment = os.environ | {"BALLAST_PRELOAD": "", "MEANWHILE": meanwhile}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_code_that_changed_after_the_plan_writes_nothing_and_code_that_changed_meanwhile_leaves_nothing(reader):
    folder = reader.parents[3]
    code = planned(folder, "data", "readers/i-alpaca")
    done = data(folder, code, meanwhile="# A remark.\n")
    assert done.returncode == 0 and (folder / OUT).is_file(), done.stderr
    (folder / OUT).unlink()
    row = folder / "results/s/manifest/data/benchmarks/i.parquet.json"
    row.unlink()
    done = data(folder, code, meanwhile="\nprint()\n")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "data: scripts/data.py changed while this job ran, so its files are removed; end or undo" in done.stderr
    assert not (folder / OUT).exists() and not row.exists()
    done = data(folder, code)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "data: scripts/ changed after Snakemake planned this job, so it writes nothing; end or undo" in done.stderr
    assert not (folder / OUT).exists() and not row.exists()


def test_what_a_job_kept_while_its_code_changed_is_removed_too(tmp_path, monkeypatch):
    parts = {"ballast/files.py: digest": "a"}
    monkeypatch.setattr(same_code.SameCode, "_parts", lambda _: dict(parts))
    job = same_code.SameCode("judge", same_code.identity.digest_of(parts, ["judges/one"]))
    (tmp_path / "partial").mkdir()
    answers = store.Store(tmp_path / "store", "asked")
    answers.add([("text", 1)])
    job.check([], ["--partial", str(tmp_path / "partial")])
    assert store.Store(tmp_path / "store", "asked").get("text") == 1 and (tmp_path / "partial").is_dir()
    parts["ballast/files.py: digest"] = "b"
    with pytest.raises(BallastError, match=r"scripts/ballast/files.py: digest changed while this job ran"):
        job.check([], ["--partial", str(tmp_path / "partial")])
    assert store.Store(tmp_path / "store", "asked").get("text") is None and not (tmp_path / "partial").exists()


def test_a_job_of_a_cluster_takes_the_identities_of_its_plan(monkeypatch):
    monkeypatch.setenv(PLANNED, '{"train": "of another plan"}')
    main, job = (SimpleNamespace(workflow=SimpleNamespace(is_main_process=main)) for main in (True, False))
    planned = InsideSnakemake.code_identities(main, None)("train")
    assert planned != "of another plan"
    monkeypatch.setattr(same_code.identity, "code_parts", lambda *_, **__: {})
    assert InsideSnakemake.code_identities(job, None)("train") == planned
