"""The same study under other conditions, and what a finished one holds: the same bytes, true numbers, no secrets."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers.edits import DOCUMENTS, ROOT, SECRETS, SNAKEMAKE, checkout, pending, with_world
from helpers.hub import COMMIT, Hub, serve
from helpers.tiny_study import CONFIG, digests

from ballast.files import write_parquet

pytestmark = pytest.mark.faults
NO_NETWORK = ["unshare", "--map-root-user", "--net"]


@pytest.fixture(scope="module")
def offline() -> bool:
    """Whether a process may be started here that has no network at all."""
    return shutil.which("unshare") is not None and subprocess.run([*NO_NETWORK, "true"]).returncode == 0


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory, offline) -> Path:
    """Results of another clone in another working folder: one job at a time, other locale, time zone and hash seed.

    Without a network where that can be had, and with nothing in any cache. It begins with the world of all suites.
    """
    home = tmp_path_factory.mktemp("elsewhere")
    clone = checkout(home / "another clone")
    folder = with_world(home / "ein Ördner, with spaces")
    command = [SNAKEMAKE, "--snakefile", clone / "Snakefile", "--directory", folder, "--cores", "1"]
    command += ["--workflow-profile", clone / "profiles/default", "--configfile", clone / CONFIG]
    odd = {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C", "HF_HOME": str(home / "empty")}
    env = {name: value for name, value in os.environ.items() if name not in ("BALLAST_PRELOAD", "LANG")}
    command = [*(NO_NETWORK if offline else []), *command]
    done = subprocess.run(command, cwd=home, env=env | {"OMP_NUM_THREADS": "1"} | odd, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return folder / "results"


@pytest.mark.release
def test_hash_seed_locale_time_zone_folder_clone_and_cores_change_no_byte(finished, elsewhere):
    def made(files: dict[str, str]) -> dict[str, str]:
        """Without manifest rows: they say where a job read a template, and that is in another clone."""
        return {name: digest for name, digest in files.items() if "/manifest/" not in name}

    assert made(digests(elsewhere)) == made(finished.files())


@pytest.mark.release
def test_the_study_needs_no_network(elsewhere, offline):
    if not offline:
        pytest.skip("a process without a network cannot be started here (unshare --net)")
    for made in ("adapter_model.safetensors", "responses.parquet", "scores/*.parquet"):
        assert list(elsewhere.glob(f"tiny/runs/llama/safety/*/n14/t0/{made}"))


@pytest.mark.release
def test_jobs_of_their_own_process_and_hash_seed_give_the_same_bytes(finished, copy):
    # A job that starts without the preloaded process, as on a cluster, hashes strings in an order of its own.
    made = ["subsets/safety/sss/n14/t0.csv", "figures/figure3.svg"]
    made += [f"runs/llama/safety/sss/n14/t0/{name}" for name in ("adapter_model.safetensors", "adapter_config.json")]
    copy.without(*made)
    rules = ["--allowed-rules", "sample", "train", "figure"]
    copy.succeed(*(f"results/tiny/{path}" for path in made), *rules, BALLAST_PRELOAD="", PYTHONHASHSEED="7")
    assert copy.files() == finished.files()


def test_tables_figures_and_headline_show_what_the_scores_hold_and_nothing_else_runs(copy):
    tiny = copy.results / "tiny"
    written = {}
    for path in (tiny / "scores.parquet", *tiny.glob("scores/*/harm.parquet")):
        scores = pd.read_parquet(path)
        scores.loc[scores["benchmark"] == "beavertails-eval", "score"] = 3.25
        write_parquet(path, scores)
        written[path] = path.read_bytes()
    shown = {"table": 5, "figure": 4, "comparison": 1} | DOCUMENTS
    assert pending(copy.folder, "--configfile", CONFIG) == shown
    copy.succeed()
    assert {path: path.read_bytes() for path in written} == written
    for name in ("tables/table1.csv", "figures/figure3.csv"):
        with open(copy.results / "tiny" / name) as file:
            assert {row["mean"] for row in csv.DictReader(file)} == {"3.25"}
    for name in ("tables/table1.md", "tables/table1.tex", "headline.txt"):
        assert "3.25" in (copy.results / "tiny" / name).read_text()
    assert "3.25" not in (copy.results / "tiny/tables/table2.csv").read_text()


def texts(results: Path) -> set[str]:
    """Openings of all that was asked and answered: long enough to be nothing else."""
    columns = ("instruction", "output", "prompt", "response")
    tables = [pd.read_parquet(path) for path in [*results.glob("data/**/*.parquet"), *results.glob("runs/**/resp*")]]
    found = {text for table in tables for column in columns if column in table for text in table[column]}
    return {" ".join(text.split())[:40] for text in found if len(text) >= 20}


def test_no_log_table_or_figure_holds_a_prompt_or_a_response(finished):
    tiny = finished.results / "tiny"
    read = [*finished.results.glob("*/logs/**/*.log"), *(finished.folder / ".snakemake/log").iterdir()]
    read += [*tiny.glob("tables/*"), *tiny.glob("figures/*.csv"), *tiny.glob("figures/*.svg"), tiny / "headline.txt"]
    read += [*tiny.glob("claims.*"), *tiny.glob("comparison/*"), tiny / "explore.html"]
    read += [*tiny.glob("about/*"), *tiny.glob("pages/**/*.html")]
    read += [tiny / f"{name}.{kind}" for name in ("advice", "trouble") for kind in ("txt", "csv", "md")]
    assert len(read) > 40
    forbidden = texts(tiny)
    assert len(forbidden) > 500
    for path in [*read, finished.folder / "said"]:
        held = " ".join(path.read_text().split())
        assert not any(text in held for text in forbidden), f"{path.name} holds a text that a model read or wrote"


def test_no_file_holds_a_secret_of_the_environment(finished):
    for path in finished.folder.rglob("*"):
        if path.is_file() and path.suffix != ".py":
            held = path.read_bytes()
            assert not any(secret.encode() in held for secret in SECRETS.values()), path.name


def test_two_fetches_at_once_share_a_cache_and_end_with_the_same_bytes(tmp_path):
    content = os.urandom(8 << 20)
    hub = Hub({"us/rows": {"data.json": content}}, seconds=0.5)
    server = serve(hub)
    source = {"kind": "dataset", "hub": "us/rows", "revision": COMMIT, "files": {"data.json": "unknown"}}
    source |= {"licence": "CC0", "local": None, "github": None, "package": None, "convert_pickle": False}
    env = {name: value for name, value in os.environ.items() if name not in ("HF_TOKEN", "HF_HUB_OFFLINE")}
    env |= {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    command = [sys.executable, str(ROOT / "scripts/stage.py"), "fetch", "--name=ours", f"--source={json.dumps(source)}"]
    jobs = [
        subprocess.Popen([*command, f"--out={tmp_path / name}"], env=env, stderr=subprocess.PIPE, text=True)
        for name in ("one", "two")
    ]
    said = [job.communicate(timeout=120)[1] for job in jobs]
    server.shutdown()
    assert [job.returncode for job in jobs] == [0, 0], said
    asked = [line.split()[0] for line in hub.asked if "data.json" in line]
    assert sorted(asked) == ["GET", "HEAD", "HEAD"], "neither found it in the cache, and one downloaded it for both"
    assert (tmp_path / "one/data.json").read_bytes() == (tmp_path / "two/data.json").read_bytes() == content
    assert (tmp_path / "one/source.json").read_bytes() == (tmp_path / "two/source.json").read_bytes()
    assert not [path for path in tmp_path.rglob("*") if re.search(r"incomplete$|/\.[^/]*\.\w{8}$", str(path))]
