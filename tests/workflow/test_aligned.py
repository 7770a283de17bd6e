"""A model that is aligned first, through the workflow: it starts each run, and nothing else knows its rows."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers import edits

from ballast.data.overlap import normalised
from ballast.data.refusal_words import is_refusal
from ballast.data.rows import pairs_to_judge

pytestmark = pytest.mark.workflow
CONFIG = "tests/workflow/aligned.yaml"
RESULTS = "results/aligned"


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory) -> Path:
    """A checkout with the scores of the study; the world is the small study's."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("aligned") / "study", symlinks=True))
    edits.snakemake(folder, "--configfile", CONFIG, "--", f"{RESULTS}/scores.parquet")
    return folder


def test_what_the_start_learns_is_in_no_pool_base_data_benchmark_or_training(made):
    data = made / RESULTS / "data"
    held = pd.concat(map(pd.read_parquet, data.rglob("*.held.parquet")))
    known = {normalised(text) for text in pairs_to_judge(held)["prompt"]}
    refusals = pd.read_parquet(data / "pools/safety.held.parquet")
    assert len(refusals) == 60 and refusals["output"].map(is_refusal).all() and len(held) == 110
    others = [path for path in data.rglob("*.parquet") if "held" not in path.name]
    assert len(others) == 6
    for path in others:
        table = pd.read_parquet(path)
        asked = table["prompt"] if "prompt" in table else pairs_to_judge(table)["prompt"]
        assert len(table) and not known & {normalised(text) for text in asked}, path.name
        counts = json.loads(path.with_suffix(".counts.json").read_text())
        assert counts["rows"] == counts["used"] + sum(counts["left_out"].values())
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
    assert jobs["data_held"] == 2 and jobs["align"] == 1 and jobs["generate"] == 3 and jobs["train"] == 2
