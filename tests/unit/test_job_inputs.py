"""What the jobs of a study read and are told, without Snakemake."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from ballast.files import BallastError
from ballast.plugins import HOME
from ballast.running.bill_options import BillOptions
from ballast.study import config, requirements, sources
from ballast.study.arguments import as_arguments, as_json, as_pairs
from ballast.study.card_options import CardOptions
from ballast.study.document_options import DocumentOptions
from ballast.study.gradient_documents import GradientDocuments
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.methods import plugin_constant
from ballast.study.plan import Plan
from ballast.study.runs import Run

ROOT = HOME.parents[1]


def jobs(name="config/mini.yaml", **changes):
    """The plan, inputs, options and documents of a config with some of its keys changed."""
    study = config.load(config.read(ROOT / name) | changes)
    inputs = JobInputs(Plan(study))
    options = JobOptions(inputs)
    return SimpleNamespace(
        plan=inputs.plan, inputs=inputs, options=options, documents=DocumentOptions(options), cards=CardOptions(options)
    )


@pytest.fixture(scope="module")
def mini():
    return jobs()


@pytest.fixture(scope="module")
def methods():
    return jobs("tests/workflow/methods.yaml")


class Wildcards(SimpleNamespace):
    def get(self, name, default=None):
        return getattr(self, name, default)


def wildcards(run: Run) -> Wildcards:
    parts = {"model": run.model, "pool": run.pool, "sampler": run.sampler}
    return Wildcards(**parts, n=str(run.n), trial=str(run.trial), run=run.path)


def test_planning_imports_no_snakemake_and_no_torch():
    code = (
        f"import sys; sys.path.insert(0, {str(HOME.parent)!r});"
        "import ballast.running.bill_options, ballast.running.inside_snakemake;"
        "print([name for name in ('snakemake', 'torch', 'transformers') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_options_are_one_text_whatever_the_order_of_keys():
    assert as_json({"b": 1, "a": 2}) == as_json({"a": 2, "b": 1}) == '{"a": 2, "b": 1}'


def test_arguments_are_quoted_and_absent_ones_are_left_out():
    assert as_arguments({"rows": 3, "path": "a b", "none": None, "seed": "0"}) == "--rows 3 --path 'a b' --seed 0"
    assert as_pairs({"a": "x y"}) == "'a=x y'"


def test_each_run_reads_its_subset_and_a_run_without_safety_examples_an_empty_one(mini):
    for run in mini.plan.runs:
        file = mini.inputs.subset(wildcards(run))
        assert file in mini.plan.subsets and f"/n{run.n}/t{run.trial}.csv" in file
    assert len(mini.plan.subsets) == len(set(mini.plan.subsets))


def test_equal_runs_add_up_to_all_runs(mini):
    bill = BillOptions(mini.documents, dict, "snakemake")
    assert sum(run["jobs"] for run in bill.equal_runs()) == len(mini.plan.measured)
    assert bill.cost()["datasets"]["base"]["command"] == "snakemake"


def test_what_is_made_before_training_holds_all_that_a_run_reads(methods):
    settled = set(methods.inputs.before_training())
    for run in methods.plan.trained:
        asked = wildcards(run)
        files = [read(asked) for read in (methods.inputs.subset, methods.inputs.subset_rows, methods.inputs.kept)]
        files.append(methods.inputs.whole_pool(asked))
        files += methods.inputs.plugin_features("trainer", asked).values()
        assert set(filter(None, files)) <= settled, run


def test_training_reads_its_subsets_rows_and_the_pool_only_if_its_trainer_picks(methods):
    found = {}
    for run in methods.plan.trained:
        asked = wildcards(run)
        rows, found[run.sampler] = methods.inputs.subset_rows(asked), methods.inputs.whole_pool(asked)
        if not found[run.sampler]:
            assert Path(rows) == Path(methods.inputs.subset(asked)).with_suffix(".parquet")
        if run.sampler in methods.plan.filtering:
            assert methods.inputs.filter_subset(asked) in ([], rows)
    pool = "results/methods/data/pools/safety.parquet"
    assert {name: whole for name, whole in found.items() if whole} == {"dualselect": pool, "adaptive": pool}
    assert len(found) > 2


def test_a_transformed_run_reads_the_adapter_of_its_source(methods):
    [name, *_] = methods.plan.transformed
    run = next(run for run in methods.plan.runs if run.sampler == name)
    source = methods.plan.source_run(run)
    assert source.sampler == methods.plan.method(name).of
    assert methods.inputs.source_adapter(wildcards(run)) == methods.plan.folder(source)
    assert source in methods.plan.trained


def test_runs_share_a_filter_across_each_n_that_it_does_not_depend_on(methods):
    found = {}
    for run in methods.plan.trained:
        if run.sampler in methods.plan.filtering:
            reads = plugin_constant("filter", methods.plan.method(run.sampler).filter, "SAFETY", False)
            n = methods.plan.kept(run).split("/")[-2]
            assert n == (f"n{run.n}" if reads else "n0"), run
            found[reads] = methods.plan.kept(run)
    assert set(found) == {True, False} and set(found.values()) <= set(methods.inputs.every_kept)


def test_a_table_of_an_experiment_that_the_config_leaves_out_is_not_there():
    experiments = config.read(ROOT / "config/mini.yaml")["experiments"]
    del experiments["transfer"]
    documents = jobs(experiments=experiments).documents
    assert "tables/table4" not in documents.artefacts("tables")
    assert not [file for file in documents.comparisons if "table4" in file]
    with pytest.raises(BallastError, match="tables/table4 shows experiments.transfer, which the config leaves out"):
        documents.artefact("tables/table4")


def test_a_table_is_told_of_no_key_that_it_does_not_show(mini):
    told = json.loads(mini.documents.artefact("tables/table1"))
    assert set(told["judges"]) == {"harm"} and "published" not in told
    other = jobs(redact=True).documents
    assert other.artefact("tables/table1") == mini.documents.artefact("tables/table1")
    assert other.artefact("tables/table3") != mini.documents.artefact("tables/table3")


def test_a_study_without_targets_has_no_advice(mini):
    assert mini.documents.advises
    none = dict.fromkeys(config.Targets.model_fields)
    assert not jobs(targets=none).documents.advises


def test_the_gradient_report_needs_one_of_its_experiments():
    experiments = {"beyond": config.read(ROOT / "config/beyond.yaml")["experiments"]["beyond"]}
    documents = jobs("config/beyond.yaml", experiments=experiments).documents
    with pytest.raises(BallastError, match="give one of them"):
        GradientDocuments(documents).experiment()


def test_a_pool_with_the_requests_of_another_takes_its_picks(mini):
    swapped = jobs("config/mechanism.yaml")
    run = Run("llama", "swapped", "t1", 14, 2)
    own = wildcards(run)
    del own.model
    assert swapped.inputs.swapped_subset(own) == f"{swapped.plan.results}/subsets/safety/t1/n14/t2.csv"
    assert swapped.inputs.swapped_subset(wildcards(run)).endswith("/subsets/llama/safety/t1/n14/t2.csv")
    given = json.loads(GradientDocuments(swapped.documents).swapping().removeprefix("--swapping ").strip("'"))
    assert {len(files) for _, _, files in given["subsets"]} == {given["options"]["experiment"]["trials"]}
    files = set(GradientDocuments(swapped.documents).swapping_inputs())
    assert files >= {*given["pools"][1].values(), *given["subsets"][0][2]}
    assert not any("category" in file for file in files)
    asked = json.loads(swapped.options.inspection())["asked"]
    assert asked["swapped"] == {"any": 14} and asked["safety"]["T1"] == 14
    none = GradientDocuments(mini.documents)
    assert none.swapping() == "" and none.swapping_inputs() == []


def test_the_bill_counts_subsets_that_take_the_requests_of_another():
    jobs_of = BillOptions(jobs("config/mechanism.yaml").documents, dict, "snakemake").cpu_jobs()
    trials = config.read(ROOT / "config/mechanism.yaml")["experiments"]["swapping"]["trials"]
    assert jobs_of["swap"] == 4 * trials


def test_the_bill_counts_the_judges_whose_scores_a_comparison_reads():
    """Both runs of a comparison are judged, also where no metric of the experiment shows these scores."""
    wins = {"benchmark": "xstest", "judge": "by-harm", "label": "Wins", "unit": "%", "direction": "higher"}
    grid = {
        "models": ["llama"],
        "pools": ["safety"],
        "samplers": ["none", "sss"],
        "n": [14],
        "metrics": ["harm", "wins"],
    }
    changes = {"other_metrics": {"wins": wins}, "pairwise": {"by-harm": {"by": "scores", "judge": "harm-rm"}}}
    made = jobs(**changes, as_is=[], experiments={"sampling": grid | {"trials": 2}})
    counted = BillOptions(made.documents, dict, "snakemake")
    alone, read = ("beavertails-eval", "harm-rm"), ("xstest", "harm-rm")
    assert [set(run["wanted"]) for run in counted.equal_runs()] == [{alone, ("xstest", "by-harm"), read}] * 2
    assert counted.cpu_jobs()["pairwise"] == 4 and "by-harm" not in counted.engines()


def test_a_card_names_every_metric_with_its_file(mini):
    run = next(run for run in mini.plan.runs if run.n)
    said = json.loads(mini.cards.card(wildcards(run)))
    assert {name for name, *_ in said["metrics"]} == set(mini.plan.measured[run.path])
    assert all(file.startswith(mini.plan.folder(run)) for *_, file in said["metrics"])


RULES = {"harm": "complies", "asr": "complies", "over_refusal": "refusal-string", "helpfulness": "exact-match"}


def own(**changes):
    """The jobs of own.yaml with its four metrics judged by rules."""
    raw = config.read(ROOT / "config/own.yaml")
    metrics = {name: raw["metrics"][name] | {"judge": rule} for name, rule in RULES.items()}
    return jobs(
        "config/own.yaml", metrics=metrics, judges=raw["judges"] | {"complies": {}, "exact-match": {}}, **changes
    )


def test_only_what_the_study_uses_is_fetched_inspected_and_waited_for():
    found = own()
    used = ["beavertails-330k", "beavertails-evaluation", "i-alpaca", "qwen2.5-7b-instruct", "salad-attack", "xstest"]
    assert found.plan.sources == used, "no judge of the publication, and none of their templates"
    assert list(json.loads(found.options.doctor({}))["sources"]) == used
    fetched = [file for file in found.inputs.before_training() if "/sources/" in file]
    assert set(fetched) == {f"results/own/sources/{name}/source.json" for name in used}
    # One metric, no sampler that reads a category: no other benchmark, no references, no other pool.
    sampling = {
        "models": ["mine"],
        "pools": ["own"],
        "samplers": ["none", "random"],
        "n": [5],
        "metrics": ["over_refusal"],
    }
    pools = {"own": {"path": "pool.jsonl"}, "other": {"path": "other.jsonl"}}
    few = own(pools=pools, experiments={"sampling": sampling})
    assert few.plan.sources == ["qwen2.5-7b-instruct", "xstest"]
    assert few.inputs.benchmarks == ["results/own/data/benchmarks/xstest.parquet"]
    assert list(few.plan.inspected) == ["pools/own", "base"] and few.plan.judges_used == ["refusal-string"]
    assert list(own(pools=pools, experiments={}).plan.inspected) == ["pools/own", "pools/other", "base"]


def test_the_judges_of_labels_and_comparisons_are_used():
    checks = jobs("config/checks.yaml")
    judges = ["harm-rm", "md-judge", "wildguard", "helpful-rm", "refusal-string", "exact-match"]
    assert checks.plan.judges_used == judges and len(checks.plan.comparing) == 1
    raw = config.read(ROOT / "config/checks.yaml")
    sampling = {"models": ["llama"], "pools": ["safety"], "samplers": ["none", "random"], "n": [14]}
    only = {"experiments": {"sampling": sampling | {"metrics": ["better-by-score"]}}, "as_is": []}
    assert jobs("config/checks.yaml", **only).plan.judges_used == ["wildguard", "helpful-rm"]
    assert jobs("config/checks.yaml", **only).plan.benchmarks_used == ["i-alpaca"]
    pools = raw["pools"]["by-refusal-string"]
    assert "refusal-string" in jobs("config/checks.yaml", **only, pools={"safety": pools}).plan.judges_used


def test_the_paper_uses_all_that_it_declares_of_models_and_judges():
    found = jobs("config/paper.yaml").plan
    assert {"wildguard", "md-judge-v0.1", "harm-rm", "helpful-rm", "mpnet"} <= set(found.sources)
    assert {"beavertails", "beavertails-330k"} <= set(found.sources)
    assert {"md-judge-task", "wildguard-template", "alpaca-template"} <= set(found.sources)
    assert found.backends == {"vllm", "transformers"}


def test_a_rule_names_the_packages_that_a_smaller_environment_lacks(mini):
    needed = requirements.packages(mini.plan)
    assert not {package for named in needed.values() for package in named} - {"torch"}
    assert all(needed[rule] for rule in ("world_model", "train", "generate", "doctor"))
    assert not any(needed.get(rule) for rule in ("fetch", "data", "embed", "sample", "export"))
    paper, fork = (requirements.packages(jobs(f"config/{name}.yaml").plan) for name in ("paper", "paper-fork"))
    vllm = {"torch", "vllm"}
    assert all(paper[rule] == vllm for rule in ("generate", "judge", "behaviour", "category", "rewrite"))
    assert paper["train"] == {"torch"} and paper["pairwise"] == set()
    assert paper["embed"] == {"sentence_transformers"}
    assert fork["train"] == fork["generate"] == {"torch", "bitsandbytes"} and fork["judge"] == vllm
    labels = {"behaviour": "refusal-string", "category": "cossim"}
    judges = config.read(ROOT / "config/mini.yaml")["judges"]
    rule = jobs(labels=labels, judges=judges | {"refusal-string": {"backend": "vllm"}})
    assert requirements.packages(rule.plan)["behaviour"] == set(), "a rule loads no model"


def test_a_benchmark_takes_its_sources_format_and_a_part_of_its_prompts():
    benchmarks = config.read(ROOT / "config/own.yaml")["benchmarks"] | {
        "malicious": {"source": "i-malicious-instructions"},
        "contrasts": {"source": "xstest", "prompts": "harmful"},
    }
    found = own(benchmarks=benchmarks)
    assert found.plan.dataset_format("benchmarks/malicious") == "i-alpaca"
    assert found.plan.dataset_format("benchmarks/contrasts") == "xstest"
    [contrasts, safe] = [
        found.options.dataset(Wildcards(dataset=f"benchmarks/{name}")) for name in ("contrasts", "xstest")
    ]
    kinds = "--tags '[\"type\"]'"
    assert contrasts == f"--prompts harmful {kinds}" and safe == kinds
    with pytest.raises(BallastError, match="benchmarks.mine: no format is called so; give `format`, such as prompts"):
        own(benchmarks=benchmarks | {"mine": {"path": "mine.jsonl"}})


@pytest.mark.parametrize(
    ("place", "data", "said"),
    [
        ("base", {"format": "gsm8k"}, "config: base: format gsm8k gives prompts, and fine-tuning data needs pairs"),
        ("pools", {"format": "xstest"}, "config: pools.mine: format xstest gives prompts"),
        ("tasks", {"format": "gsm8k"}, "config: tasks.mine: format gsm8k gives prompts"),
        ("benchmarks", {"format": "alpaca"}, "config: benchmarks.mine: format alpaca gives pairs"),
        (
            "benchmarks",
            {"format": "i-alpaca", "prompts": "safe"},
            "config: benchmarks.mine.prompts: format i-alpaca takes",
        ),
        ("references", {"format": "beavertails-safe"}, "config: references: format beavertails-safe gives pairs"),
    ],
)
def test_a_format_that_cannot_be_is_refused_before_any_job(place, data, said):
    raw = config.read(ROOT / "config/mini.yaml")
    data = {"world": "base.json"} | data
    raw[place] = data if place in ("base", "references") else (raw.get(place) or {}) | {"mine": data}
    with pytest.raises(BallastError) as error:
        sources.check(config.load(raw))
    assert str(error.value).startswith(said)
