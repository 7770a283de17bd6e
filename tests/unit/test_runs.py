"""Runs of a study, their folders and seeds."""

from pathlib import Path

from ballast.study import config
from ballast.study.runs import Run, as_is_path, from_path, measured, runs, seed

ROOT = Path(__file__).parents[2]


def test_a_run_that_two_experiments_name_is_there_once():
    study = config.load(config.read(ROOT / "config/mini.yaml"))
    found = runs(study)
    assert len(found) == len(set(found))
    sampling = study.experiments.sampling
    assert Run("llama", "safety", "sss-b", sampling.n[0], 0) in found
    aligned = [run.n for run in found if run.sampler == "none" and run.model == "llama"]
    assert aligned == [0] * sampling.deterministic_trials, "Tables 1 and 5 show the same runs"


def test_the_paper_study_is_the_papers_579_adapters_and_one_more():
    study = config.load(config.read(ROOT / "config/paper.yaml"))
    found = runs(study)
    by_experiment = {
        name: [run for run in found if run in set(of(study, name))]
        for name, experiment in study.experiments
        if experiment
    }
    counts = {name: len(run) for name, run in by_experiment.items()}
    assert counts == {"sampling": 239, "behaviour": 40, "transfer": 160, "rewriting": 140, "forgetting": 2}
    # Base data alone on Llama 2 is a run of Table 1 too.
    assert len(found) == 239 + 40 + 160 + 140 + 1
    deterministic = {run.sampler for run in found if run.n == 50 and run.pool == "safety" and run.trial == 0}
    assert {run.sampler for run in found if run.trial == 9 and run.model == "llama-2-7b"} == deterministic - {
        "pss",
        "pss-b",
        "cossim",
        "cossim-b",
    }


def of(study, name: str) -> list[Run]:
    """The runs of one experiment alone."""
    only = {other: None for other in dict(study.experiments) if other != name}
    return runs(study.model_copy(update={"experiments": study.experiments.model_copy(update=only)}))


def test_a_run_is_measured_on_what_its_experiments_ask():
    study = config.load(config.read(ROOT / "config/paper.yaml"))
    asked = measured(study)
    assert asked["llama-2-7b/safety/sss-b/n150/t3"] == ["asr", "harm", "over_refusal"]
    assert asked["llama-2-7b/refusals/random/n50/t0"] == ["asr"]
    assert asked["llama-2-7b/safety/none/n0/t0"] == ["asr", "harm", "helpfulness", "over_refusal"]
    assert asked["llama-2-7b-chat/as-is"] == ["asr", "harm", "helpfulness", "over_refusal"]


def test_a_model_as_it_is_is_measured_on_what_the_experiments_ask():
    raw = config.read(ROOT / "config/mini.yaml")
    sampling = raw["experiments"]["sampling"] | {"metrics": ["asr", "over_refusal"]}
    some = measured(config.load(raw | {"experiments": {"sampling": sampling}}))
    assert some["llama/as-is"] == some["mistral/as-is"] == ["asr", "over_refusal"]
    everything = measured(config.load(raw | {"experiments": {}}))
    assert everything == {f"{name}/as-is": ["asr", "harm", "helpfulness", "over_refusal"] for name in raw["as_is"]}


def test_paths_lead_back_to_runs():
    run = Run("llama", "safety", "sss-b", 14, 2)
    assert from_path(run.path) == run
    assert from_path(as_is_path("qwen2")) == Run("qwen2", "-", "as-is", 0, 0)


def test_seeds_differ_by_purpose_and_trial_and_stay():
    seeds = {seed(0, purpose, trial) for purpose in ("sampling", "training") for trial in range(50)}
    assert len(seeds) == 100 and max(seeds) < 2**31
    assert seed(0, "sampling", 0) != seed(1, "sampling", 0)
    assert seed(0, "training", 0) == 1718401432  # a change would re-run every study
