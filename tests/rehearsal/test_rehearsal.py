"""What the rehearsal of the paper study must have made, from real rows, exact templates and tiny models.

What its models say means nothing; that every stage, judge, table and figure of the paper is reached does.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ballast.asking.prompts import PairTemplate
from ballast.files import digest, read_json
from ballast.study import config
from ballast.study.plan import Plan
from ballast.study.runs import measured, runs

pytestmark = pytest.mark.rehearsal
ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results/rehearsal"


@pytest.fixture(scope="module")
def study():
    if not (RESULTS / "headline.txt").is_file():
        pytest.skip("there is no rehearsal here: run make rehearsal")
    return config.load(config.read(ROOT / "config/rehearsal.yaml"))


def test_it_is_the_paper_study_but_for_sources_rows_n_trials_and_what_a_cpu_needs():
    paper, ours = (config.load(config.read(ROOT / f"config/{name}.yaml")) for name in ("paper-plus", "rehearsal"))
    for name, whole in paper.experiments:
        experiment = getattr(ours.experiments, name)
        if whole is None:
            assert experiment is None, name
            continue
        changed = {key: getattr(experiment, key) for key in ("trials", "deterministic_trials", "n")}
        assert experiment == whole.model_copy(update=changed)
        assert set(experiment.n) <= set(whole.n) and max(experiment.n) == max(whole.n)
    same = {"dtype", "packing", "per_device_train_batch_size"}
    assert ours.training.model_dump(exclude=same) == paper.training.model_dump(exclude=same)
    same = {"dtype", "backend"}
    assert ours.generation.model_dump(exclude=same) == paper.generation.model_dump(exclude=same)
    for name, judge in ours.judges.items():
        assert judge.model_dump(exclude=same) == paper.judges[name].model_dump(exclude=same)
    # Its models are tiny, so none is said to be the paper's.
    assert ours.models == {name: model.model_copy(update={"published": None}) for name, model in paper.models.items()}
    for name in ("as_is", "metrics", "sampling", "embedding"):
        assert getattr(ours, name) == getattr(paper, name)
    for name, source in ours.sources.items():
        assert source.model_copy(update={"local": None}) == paper.sources[name]
    assert all(ours.sources[name].local for name in Plan(ours).sources)


def test_every_table_and_figure_of_the_paper_is_there(study):
    tables = {path.name for path in (RESULTS / "tables").iterdir()}
    figures = {path.name for path in (RESULTS / "figures").iterdir()}
    named = [f"table{number}" for number in range(1, 6)] + ["contrasts", "budget", "categories", "scores", "tags"]
    drawn = [f"figure{number}" for number in range(2, 8)] + ["frontier", "budget", "categories", "advice"]
    assert tables == {f"{name}.{kind}" for name in named for kind in ("csv", "md", "tex")}
    assert figures == {f"{name}.{kind}" for name in drawn for kind in ("csv", "pdf", "png", "svg")}


def test_every_cell_of_the_papers_tables_has_a_number(study):
    for number, rows in ((1, 1 + 8 * 2), (2, 1 + 8 * 2), (4, 4 * 2 * 2)):
        cells = pd.read_csv(RESULTS / f"tables/table{number}.csv")
        cells = cells[cells["sampler"] != "as-is"]
        assert len(cells) == rows and cells["mean"].notna().all(), number


def test_every_run_is_trained_answered_and_judged(study):
    scores = pd.read_parquet(RESULTS / "scores.parquet")
    found = scores.groupby(["model", "pool", "sampler", "n", "trial"]).ngroups
    assert found == len(measured(study)) == len(runs(study)) + 6
    asked = sum(len(names) for names in measured(study).values())
    assert scores.groupby(["model", "pool", "sampler", "n", "trial", "benchmark", "judge"]).ngroups == asked
    for run in runs(study):
        log = read_json(RESULTS / f"runs/{run.path}/training.json")
        assert log["rows_by_origin"] == {"base": 64} | ({"subset": run.n} if run.n else {})
        assert math.isfinite(log["last_loss"])


def test_the_judges_answered_in_their_exact_templates(study, data_dir):
    for name, file in (("wildguard-template", "wildguard"), ("md-judge-task", "md_judge_task")):
        ours = PairTemplate.load(RESULTS / f"sources/{name}/template.json")
        theirs = json.loads((data_dir / f"templates/{file}.json").read_text())["template"]
        assert all(
            part.split("%s")[0].strip() in theirs for part in (ours.between, ours.after.removesuffix(" [/INST]"))
        )
    answers = pd.concat(pd.read_parquet(path) for path in RESULTS.glob("runs/*/as-is/scores/*.parquet"))
    shares = answers["answer_status"].value_counts(normalize=True)
    print(f"\nanswers: {shares.round(3).to_dict()}")
    assert shares["parsed"] > 0.95


def test_responses_and_verdicts_differ_so_that_a_mix_up_would_show(study):
    responses = pd.concat(pd.read_parquet(path) for path in RESULTS.glob("runs/**/responses.parquet"))
    print(f"\n{responses['response'].nunique()} distinct responses of {len(responses):,}")
    assert responses.groupby("benchmark")["response"].nunique().min() > 5
    scores = pd.read_parquet(RESULTS / "scores.parquet")
    by_run = scores[scores["model"] == "llama-2-7b"].groupby(["sampler", "n", "trial"])["score"].sum()
    assert by_run.nunique() > 5
    # The responses to attacks are alike, and the tiny MD-Judge may give them all one verdict.
    spread = scores.groupby("judge")["score"].std()
    assert (spread.drop(["md-judge", "md-judge-of-all"]) > 0.05).all(), spread


def test_the_two_attack_denominators_differ_by_the_unreadable_answers(study):
    scores = pd.read_parquet(RESULTS / "scores.parquet")
    key = ["model", "pool", "sampler", "n", "trial", "prompt_id"]
    by_judge = {judge: table.set_index(key)["score"] for judge, table in scores.groupby("judge")}
    first, second = by_judge["md-judge"], by_judge["md-judge-of-all"]
    first = first.reindex(second.index)
    assert len(second) and (second[first.notna()] == first[first.notna()]).all()
    assert (second[first.isna()].fillna(0) == 0).all()


def test_every_behaviour_is_there_and_no_label_is_lost(study):
    labels = pd.read_parquet(RESULTS / "labels/safety/behaviour.parquet")
    counts = labels["behaviour"].value_counts()
    print(f"\nbehaviours of 2,483 rows by the tiny WildGuard: {counts.to_dict()}")
    assert len(labels) == 2483 and (counts[["T1", "T2", "T3", "T4"]] >= 50).all()
    categories = pd.read_parquet(RESULTS / "labels/safety/category.parquet")
    assert (categories["status"] == "parsed").mean() > 0.9


def test_each_source_says_what_came(study):
    for name in Plan(study).sources:
        manifest = read_json(RESULTS / f"sources/{name}/source.json")
        assert manifest["revision"] == "local"
        for file, wanted in manifest["sha256"].items():
            assert digest(RESULTS / f"sources/{name}/{file}") == wanted


def test_the_rewritten_pool_says_what_it_cost(study):
    log = read_json(RESULTS / "data/pools/refusals.rewriting.json")
    assert log["rows_asked"] == 1010 and log["rows_failed"] <= 0.05 * log["rows_asked"]
    pool = pd.read_parquet(RESULTS / "data/pools/refusals.parquet")
    unsafe = pd.read_parquet(RESULTS / "data/unsafe/refusals.parquet")
    assert len(pool) == log["rows_rewritten"] and set(pool["instruction"]) <= set(unsafe["instruction"])
    assert not set(pool["output"]) & set(unsafe["output"])


def test_a_second_run_has_nothing_to_do(study):
    done = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "-n", "--configfile", "config/rehearsal.yaml"],
        cwd=ROOT,
        env=os.environ | {"BALLAST_DATA": os.environ.get("BALLAST_DATA", "../shared/data")},
        capture_output=True,
        text=True,
    )
    assert "Nothing to be done" in done.stdout + done.stderr, done.stderr[-1500:]
