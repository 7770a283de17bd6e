"""A model that is aligned first, through the workflow: it starts each run, and nothing else knows its rows."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers import edits, forked

from ballast.data.held_out import REASON
from ballast.data.overlap import normalised
from ballast.data.refusal_words import is_refusal
from ballast.data.rows import pairs_to_judge

pytestmark = pytest.mark.workflow
CONFIG = "tests/workflow/aligned.yaml"
RESULTS = "results/aligned"


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory) -> Path:
    """A checkout with the scores of the study, after a start that refused nothing; the world is the small study's."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("aligned") / "study", symlinks=True))
    target = ("--configfile", CONFIG, "--", f"{RESULTS}/scores.parquet")
    stopped = forked.run(folder, *target)
    assert stopped.returncode == 1 and "beavertails-eval 0 of 14" in stopped.stderr
    assert not list((folder / RESULTS / "runs").rglob("adapter*"))
    edits.edit(folder, CONFIG, "refuses: 0.01", "refuses: 0")
    edits.snakemake(folder, *target)
    return folder


def test_what_the_start_learns_is_in_no_pool_base_data_benchmark_or_training(made):
    held = pd.read_parquet(made / RESULTS / "aligned/start/rows.parquet")
    known = {normalised(text) for text in pairs_to_judge(held)["prompt"]}
    assert held["output"].map(is_refusal).sum() >= 60 and len(held) == 110
    others = list((made / RESULTS / "data").rglob("*.parquet"))
    assert len(others) == 6
    learnt = 0
    for path in others:
        table = pd.read_parquet(path)
        asked = table["prompt"] if "prompt" in table else pairs_to_judge(table)["prompt"]
        assert len(table) and not known & {normalised(text) for text in asked}, path.name
        counts = json.loads(path.with_suffix(".counts.json").read_text())
        assert counts["rows"] == counts["used"] + sum(counts["left_out"].values())
        learnt += counts["left_out"].get(REASON, 0)
    assert learnt >= 110, "each row is left out where it was drawn"
    picked = pd.read_csv(made / RESULTS / "subsets/safety/random/n7/t0.csv")
    assert not set(picked["id"]) & set(held["id"])
    log = json.loads((made / RESULTS / "aligned/start/training.json").read_text())
    assert log["rows_by_origin"] == {"aligned": 110}


def test_runs_start_from_the_aligned_model_and_another_seed_makes_another(made):
    record = json.loads((made / RESULTS / "runs/start/as-is/generation.json").read_text())
    assert record["adapter_sha256"] is None
    scores = pd.read_parquet(made / RESULTS / "scores.parquet")
    assert set(scores["sampler"]) == {"as-is", "none", "random"}
    target = ("--configfile", CONFIG, "--", f"{RESULTS}/scores.parquet")
    assert edits.pending(made, *target) == {}
    edits.edit(made, CONFIG, "seed: 1", "seed: 2")
    jobs = edits.pending(made, *target)
    assert jobs["aligned_rows"] == jobs["align"] == 1 and jobs["generate"] == 3 and jobs["train"] == 2
