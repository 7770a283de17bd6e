"""Bad rows and files, through the real workflow: one clear line, a failing exit status, nothing half-written."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from helpers import forked

from ballast.categories import CATEGORIES
from ballast.files import read_parquet
from ballast.study import config

pytestmark = pytest.mark.workflow
ROOT = Path(__file__).parents[2]
ROW = {"instruction": "Name a river.", "input": "", "output": "The Rhine."}
POOL = [{**ROW, "instruction": f"Name river {number}.", "output": f"I'm sorry, {number}."} for number in range(20)]


class Bench:
    """A working folder with a pool of one's own and the config of a study that reads it."""

    def __init__(self, folder: Path):
        self.folder, self.configfile = folder, "study.yaml"
        self.write("pool.json", POOL)
        raw = config.read(ROOT / "config/mini.yaml")
        raw |= {
            "study": "bad",
            "pools": {"own": {"path": "pool.json"}},
            "judges": raw["judges"] | {"refusal-string": {}},
        }
        raw["labels"] = {"behaviour": "refusal-string", "category": "cossim"}
        raw["references"] = {"path": "references.jsonl"}
        self.references(CATEGORIES)
        sampling = {"models": ["llama"], "pools": ["own"], "samplers": ["random"], "n": [5], "trials": 1}
        self.config = raw | {"experiments": {"sampling": sampling}}

    def write(self, name: str, value) -> None:
        (self.folder / name).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")

    def references(self, categories) -> None:
        def row(true):
            return {"prompt": f"About {true}.", "response": "Yes.", "category": {true: True}, "is_safe": False}

        (self.folder / "references.jsonl").write_text("\n".join(json.dumps(row(name)) for name in categories))

    def run(self, target: str, *words: str) -> subprocess.CompletedProcess:
        (self.folder / "study.yaml").write_text(yaml.safe_dump(self.config))
        place = ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default"]
        # These jobs are too short to wait for a preloaded process.
        environment = os.environ | {"BALLAST_PRELOAD": ""}
        return forked.run(self.folder, target, *place, "--configfile", self.configfile, *words, environment=environment)

    def refuses(self, target: str, line: str) -> None:
        """The run fails, `line` stands alone in what it prints, and no part of the target is there."""
        done = self.run(target)
        assert done.returncode != 0
        said = [text for text in (done.stdout + done.stderr).splitlines() if line in text]
        assert said, f"no line with {line!r} in\n{done.stderr[-2000:]}"
        assert "Traceback" not in done.stderr
        whole = self.folder / target
        assert not whole.exists()
        assert not list(whole.parent.glob(".*")), "a temporary file stayed behind"


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


ROWS = "results/bad/data/pools/own.parquet"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ([], "data: pool.json: no rows"),
        (
            [{"instruction": "a", "reply": "b"}],
            "data: pool.json: no form that Ballast knows (there are: instruction, reply)",
        ),
        ([ROW, {**ROW, "output": None}], "data: pool.json: row 1: 'output' is missing or not text"),
        ([ROW, {**ROW, "output": "The Po."}, ROW], "data: pool.json: row 2 repeats row 0 (id "),
    ],
    ids=["empty", "column", "value", "duplicate"],
)
def test_bad_rows(bench, rows, line):
    bench.write("pool.json", rows)
    bench.refuses(ROWS, line)


def test_a_pool_that_is_not_utf8(bench):
    (bench.folder / "pool.json").write_bytes(b'[\n{"instruction": "caf\xe9", "output": "b"}]')
    bench.refuses(ROWS, "data: pool.json: line 2: not UTF-8 at byte 22; save the file as UTF-8 and run again")


def test_a_torn_pool(bench):
    text = (bench.folder / "pool.json").read_text()
    (bench.folder / "pool.json").write_text(text[: len(text) // 2])
    bench.refuses(ROWS, "data: pool.json: line 1: not valid JSON")


def test_line_separators_inside_a_row_are_text(bench):
    (bench.folder / "pool.jsonl").write_text(
        json.dumps({**ROW, "output": "one\u2028two"}, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    bench.config["pools"]["own"]["path"] = "pool.jsonl"
    assert bench.run(ROWS).returncode == 0
    assert read_parquet(bench.folder / ROWS)["output"].tolist() == ["one\u2028two"]


def test_n_larger_than_the_pool(bench):
    bench.config["experiments"]["sampling"]["n"] = [21]
    target = "results/bad/subsets/own/random/n21/t0.csv"
    bench.refuses(target, "sampler random: 21 examples wanted, but only 20 rows are eligible; ask for a smaller n")


def test_a_behaviour_without_rows(bench):
    bench.config["experiments"]["sampling"]["samplers"] = ["t2"]
    target = "results/bad/subsets/own/t2/n5/t0.csv"
    bench.refuses(target, "sampler random among T2: the pool has no row labelled T2, so nothing can be picked from it")


def test_references_without_a_category(bench):
    bench.references(CATEGORIES[:3] + CATEGORIES[4:])
    bench.refuses("results/bad/data/references.parquet", "data: references.jsonl: no row has category 3 alone")


def test_a_torn_parquet(bench):
    assert bench.run(ROWS).returncode == 0
    path = bench.folder / ROWS
    path.write_bytes(path.read_bytes()[:-30])
    bench.refuses("results/bad/subsets/own/random/n5/t0.csv", f"sample: {ROWS}: not a whole Parquet file; delete it")


def test_a_key_that_stands_twice_in_the_config(bench):
    """Snakemake parses the file too, and keeps the last."""
    (bench.folder / "above.yaml").write_text("extends: study.yaml\ntargets: {harm: 1}\ntargets: {asr: 2}\n")
    bench.configfile = "above.yaml"
    bench.refuses(ROWS, "ballast: above.yaml: line 3: 'targets' is there already, in line 2; keep one")


def test_words_of_the_command_lie_over_the_config(bench):
    assert bench.run("results/named/data/pools/own.parquet", "--config", "study=named").returncode == 0


def test_a_second_model_where_tables_show_one_is_one_line_before_any_job(tmp_path):
    bench = Bench(tmp_path)
    bench.config["experiments"]["sampling"]["models"].append("qwen2")
    refused = bench.run("all", "--dry-run")
    said = [line for line in refused.stderr.splitlines() if line.startswith("ballast: ")]
    assert refused.returncode == 1 and len(said) == 1 and "Traceback" not in refused.stderr
    assert "experiments.sampling.models: tables/" in said[0] and "show one value, not llama, qwen2; keep one" in said[0]
    assert bench.run("results/bad/settled.txt", "--dry-run").returncode == 0, "its subsets can be picked"
