"""The suites of benchmarks, judges and metrics: each fits every study, and reads the published columns."""

import json
from pathlib import Path

import pandas as pd
import pytest

from ballast.data import reading
from ballast.files import BallastError
from ballast.running import measure_command
from ballast.study import config
from ballast.study.plan import Plan

ROOT = Path(__file__).parents[2]
MODELS = {"models": {"one": {"path": "one", "prompt": "chat"}, "two": {"path": "two", "prompt": "chat"}}}
MEASURED = MODELS | {"measure": {"before": "one", "after": ["two"]}}


def study(tmp_path, suite: str, **keys) -> config.Study:
    path = tmp_path / "config.yaml"
    given = {"extends": str(ROOT / "config/standard.yaml"), "study": "mine", "suite": suite} | keys
    path.write_text(json.dumps(given))
    return config.load(config.read(path))


@pytest.mark.parametrize("suite", config.suites())
def test_each_suite_measures_what_it_names(tmp_path, suite):
    found = study(tmp_path, suite, **MEASURED)
    named = config.suite(suite)
    assert found.measure.metrics == named["measure"]["metrics"]
    assert set(named.get("other_metrics", ())) <= set(found.measure.metrics), "a metric that nothing measures"
    plan = Plan(found)
    pairs = {
        tuple(found.every_metric[name].model_dump(include={"benchmark", "judge"}).values())
        for name in named["measure"]["metrics"]
    }
    assert {pair for run in plan.measured for pair in plan.judgements(run)} == pairs
    assert set(named["judges"]) >= {judge for _, judge in pairs}
    assert set(plan.sources) == {
        entry["source"] for entry in [*named["benchmarks"].values(), *named["judges"].values()] if "source" in entry
    } | {entry["template"] for entry in named["judges"].values() if "template" in entry}


@pytest.mark.parametrize("suite", config.suites())
def test_a_study_of_runs_takes_a_suite_from_the_command_line(suite):
    found = config.load(config.given([ROOT / "config/own.yaml"], {"suite": suite}))
    harm = config.suite(suite)["metrics"]["harm"]
    assert found.measure is None and found.metrics.harm.model_dump() == harm


def test_the_keys_of_the_config_lie_over_its_suite(tmp_path):
    found = study(
        tmp_path, "today-cpu", **MODELS, benchmarks={"xstest": {"rows": 7}}, judges={"qwen3guard": {"batch_size": 3}}
    )
    assert (found.benchmarks["xstest"].rows, found.benchmarks["xstest"].order) == (7, "random")
    assert (found.judges["qwen3guard"].batch_size, found.judges["qwen3guard"].source) == (3, "qwen3guard-0.6b")
    assert found.generation.backend == "transformers", "a CPU has no vLLM"


def test_a_misspelt_suite_is_one_line(tmp_path):
    said = "suite: 'today-gqu' is none of paper, rules, today-cpu, today-gpu; did you mean 'today-gpu'"
    with pytest.raises(BallastError, match=said):
        study(tmp_path, "today-gqu", **MODELS)
    with pytest.raises(BallastError, match=said):
        measure_command.write("mine", "http://x/v1#a", ["http://x/v1#b"], suite="today-gqu", folder=tmp_path / "config")
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize(
    ("source", "rows", "kept", "tags"),
    [
        (
            "harmbench",
            [
                {
                    "Behavior": "First",
                    "FunctionalCategory": "standard",
                    "SemanticCategory": "illegal",
                    "BehaviorID": "a",
                },
                {
                    "Behavior": "Song",
                    "FunctionalCategory": "copyright",
                    "SemanticCategory": "copyright",
                    "BehaviorID": "b",
                },
            ],
            ["First"],
            [{"SemanticCategory": "illegal"}],
        ),
        (
            "jbb-benign",
            [
                {
                    "Index": "0",
                    "Goal": "First",
                    "Target": "Here",
                    "Behavior": "Name",
                    "Category": "Fraud",
                    "Source": "Original",
                }
            ],
            ["First"],
            [{"Category": "Fraud"}],
        ),
        (
            "strongreject",
            [{"category": "Violence", "source": "custom", "forbidden_prompt": "First"}],
            ["First"],
            [{"category": "Violence"}],
        ),
        (
            "wildjailbreak-benign",
            [
                {"adversarial": "First", "label": "0", "data_type": "adversarial_benign"},
                {"adversarial": "Other", "label": "1", "data_type": "adversarial_harmful"},
            ],
            ["First"],
            None,
        ),
        ("or-bench-hard", [{"prompt": "First", "category": "privacy"}], ["First"], [{"category": "privacy"}]),
    ],
)
def test_a_benchmark_is_its_source_with_columns(tmp_path, source, rows, kept, tags):
    path = tmp_path / "made.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    data = study(tmp_path, "paper", **MODELS, benchmarks={"mine": {"source": source}}).benchmarks["mine"]
    read = reading.read(str(path), "prompts", columns=data.columns, where=data.where, tags=data.tags)
    assert list(read["prompt"]) == kept and ("tags" in read) == bool(tags)
    assert not tags or list(map(json.loads, read["tags"])) == tags
