"""Runs of a study, their folders and seeds."""

from pathlib import Path

from ballast import config
from ballast.runs import Run, as_is_path, from_path, runs, seed

ROOT = Path(__file__).parents[2]


def test_a_run_that_two_experiments_name_is_there_once():
    study = config.load(config.read(ROOT / "config/mini.yaml"))
    found = runs(study)
    assert len(found) == len(set(found))
    sampling = study.experiments.sampling
    assert Run("llama", "safety", "sss-b", sampling.n[0], 0) in found
    assert [run.n for run in found if run.sampler == "none"] == [0] * sampling.trials


def test_paths_lead_back_to_runs():
    run = Run("llama", "safety", "sss-b", 14, 2)
    assert from_path(run.path) == run
    assert from_path(as_is_path("qwen2")) == Run("qwen2", "-", "as-is", 0, 0)


def test_seeds_differ_by_purpose_and_trial_and_stay():
    seeds = {seed(0, purpose, trial) for purpose in ("sampling", "training") for trial in range(50)}
    assert len(seeds) == 100 and max(seeds) < 2**31
    assert seed(0, "sampling", 0) != seed(1, "sampling", 0)
    assert seed(0, "training", 0) == 1718401432  # a change would re-run every study
