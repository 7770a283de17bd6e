"""What the mini study must show, as loose bounds on its own scores. Each test names its seeds and prints the interval.

`make test-study` runs the study first (minutes), or finds it done; `make test-cut` does so with a cut of it.
"""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from helpers import forked
from scipy import stats

from ballast.files import read_parquet
from ballast.study import config
from ballast.study.runs import runs, subset

ROOT = Path(__file__).parents[2]
FEW, MANY = 14, 84
CONFIGS = {"mini": "config/mini.yaml", "mini-cut": "tests/study/cut.yaml"}
STUDIES = [pytest.param("mini", marks=pytest.mark.study), pytest.param("mini-cut", marks=pytest.mark.cut)]


def snakemake(*arguments) -> str:
    done = forked.run(ROOT, *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def run_means(study: str) -> pd.DataFrame:
    """Mean score of each run on each benchmark: columns beavertails-eval, salad-attack, xstest, i-alpaca."""
    scores = read_parquet(ROOT / f"results/{study}/scores.parquet")
    keys = ["model", "pool", "sampler", "n", "trial"]
    return scores.pivot_table("score", keys, "benchmark").reset_index()


@pytest.fixture(scope="module", params=STUDIES)
def study(request) -> str:
    """The name of a study that has run."""
    snakemake("--configfile", CONFIGS[request.param])
    return request.param


@pytest.fixture(scope="module")
def mini(study) -> pd.DataFrame:
    """Up to eight seeds a cell; one sampling and one training seed for each trial, shared by all samplers."""
    return run_means(study)


def cell(table, sampler, n, benchmark="beavertails-eval", model="llama", pool="safety") -> pd.Series:
    """The runs of a cell, by trial."""
    rows = table[(table[["model", "pool", "sampler", "n"]] == [model, pool, sampler, n]).all(axis=1)]
    assert len(rows), f"no run of {sampler} at {n}"
    return rows.set_index("trial")[benchmark].sort_index()


def report(name: str, difference: pd.Series) -> float:
    """Print a mean with its 95 % t-interval; return the mean."""
    mean, half = difference.mean(), stats.sem(difference) * stats.t.ppf(0.975, len(difference) - 1)
    print(f"{name}: {mean:+.2f} (95 % t-interval {mean - half:+.2f} to {mean + half:+.2f}, {len(difference)} seeds)")
    return mean


def test_a_second_run_has_nothing_to_do(study):
    assert "Nothing to be done" in snakemake("--configfile", CONFIGS[study])


def test_every_table_and_figure_is_there(study):
    folder = ROOT / f"results/{study}"
    for number in (1, 2, 3, 4):
        for kind in ("csv", "md", "tex"):
            assert (folder / f"tables/table{number}.{kind}").stat().st_size
    for number in (2, 3, 4, 5, 6, 7):
        for kind in ("pdf", "svg", "png", "csv"):
            assert (folder / f"figures/figure{number}.{kind}").stat().st_size


def test_labels_are_the_truth_and_few_answers_are_unread(study):
    folder = ROOT / f"results/{study}"
    assert (read_parquet(folder / "scores.parquet")["answer_status"] == "unparsable").mean() < 0.01
    labels = read_parquet(folder / "labels/safety/behaviour.parquet")
    truth = pd.read_csv(ROOT / "results/worlds/mini/data/safety_truth.csv")
    assert (labels["behaviour"] == truth["behaviour"]).mean() >= 0.95
    categories = read_parquet(folder / "labels/safety/category.parquet")["categories"]
    assert (categories.map(lambda ids: ids[0] if len(ids) else -1) == truth["category"]).mean() >= 0.95


def test_benign_fine_tuning_erodes_safety(mini):
    aligned = cell(mini, "as-is", 0, pool="-")[0]
    assert report("harm, none - aligned", cell(mini, "none", 0) - aligned) >= 1.0


@pytest.mark.parametrize(("other", "least"), [("t2", -0.5), ("t3", 0), ("t4", -0.5)])
def test_refusals_of_harmful_requests_restore_it(mini, other, least):
    difference = cell(mini, "t1", FEW) - cell(mini, other, FEW)
    assert report(f"harm, t1 - {other} at {FEW}", difference) < least


@pytest.mark.parametrize("n", [FEW, MANY])
@pytest.mark.parametrize("other", ["random", "sss"])
def test_behaviour_and_category_beat_random_and_category_alone(mini, other, n):
    difference = cell(mini, "sss-b", n) - cell(mini, other, n)
    assert report(f"harm, sss-b - {other} at {n}", difference) < 0


def test_harm_falls_with_n(mini):
    for sampler in ("random", "sss-b"):
        difference = cell(mini, sampler, MANY) - cell(mini, sampler, FEW)
        assert report(f"harm, {sampler} {MANY} - {FEW}", difference) < 0


def test_over_refusal_does_not_fall_with_n(mini):
    behavioural = [
        cell(mini, sampler, MANY, "xstest") - cell(mini, sampler, FEW, "xstest") for sampler in ("random-b", "sss-b")
    ]
    pooled = 100 * sum(behavioural) / len(behavioural)
    assert report(f"over-refusal in points, random-b and sss-b, {MANY} - {FEW}", pooled) >= 0


def test_no_model_of_table_4_stays_at_an_end_of_the_scale(mini):
    for model in ("llama-base", "qwen2", "mistral"):
        harm = cell(mini, "random", 168, model=model).mean()
        print(f"harm of {model}, random at 168: {harm:.2f}")
        assert 0.2 < harm < 3.0


@pytest.mark.study
def test_most_claims_that_mini_can_show_are_decided():
    snakemake()
    claims = pd.read_csv(ROOT / "results/mini/claims.csv").set_index("id")
    decided = claims[claims["study_verdict"].isin(["holds", "does not hold"])]
    print(f"{len(decided)} claims decided: {', '.join(decided.index)}")
    assert len(decided) >= 12 and claims.loc["t1-best-behaviour", "study_verdict"] == "holds"


@pytest.mark.study
@pytest.mark.parametrize("name", ["diversity", "rare"])
def test_balance_over_categories_makes_no_large_difference_among_refusals(name):
    """The paper's gain of sss-b over random-b does not show in the made language, as the README says.

    Ten seeds; a difference beyond the bound, either way, would make that sentence wrong. `rare` is where theory says
    that balance must pay: each category has its own phrases, the pool is skewed, n is the number of categories.
    """
    snakemake(f"results/{name}/scores.parquet", "--configfile", f"tests/study/{name}.yaml")
    table = run_means(name)
    sizes = sorted(table["n"].unique())
    differences = [cell(table, "sss-b", n) - cell(table, "random-b", n) for n in sizes]
    for n, difference in zip(sizes, differences, strict=True):
        report(f"harm, sss-b - random-b at {n}", difference)
    assert abs(report("harm, sss-b - random-b, mean of all n", sum(differences) / len(differences))) < 0.25


@pytest.fixture
def copy(study, tmp_path) -> Path:
    """A copy of the checkout with the finished study and what Snakemake knows of it."""
    for name in ("Snakefile", "workflow", "scripts", "config", "profiles", "envs", "tests/study"):
        source = ROOT / name
        target = tmp_path / name
        shutil.copytree(source, target) if source.is_dir() else shutil.copy2(source, target)
    shutil.copytree(ROOT / f"results/{study}", tmp_path / f"results/{study}")
    shutil.copytree(ROOT / "results/worlds", tmp_path / "results/worlds")
    shutil.copytree(ROOT / ".snakemake/metadata", tmp_path / ".snakemake/metadata")
    return tmp_path


def pending(folder: Path, study: str) -> dict[str, int]:
    """Jobs by rule of a dry run in `folder`."""
    done = forked.run(folder, "--dry-run", "--quiet", "rules", "--configfile", CONFIGS[study])
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: int(number) for name, number in re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE)}


def edit(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_a_clone_with_copied_results_and_a_remark_in_the_code_run_nothing(copy, study):
    edit(copy / "scripts/ballast/samplers/sss.py", '"""sss: ', '# a remark\n"""SSS: ')
    assert pending(copy, study) == {}


def test_a_changed_sampler_reruns_its_own_runs_and_the_tables(copy, study):
    edit(copy / "scripts/ballast/samplers/pss.py", "centroids, n, members", "-centroids, n, members")
    planned = config.load(config.read(ROOT / CONFIGS[study]))
    changed = [run for run in runs(planned) if run.sampler in ("pss", "pss-b")]
    found = pending(copy, study)
    assert found["sample"] == len({subset(planned, run) for run in changed})
    assert found["train"] == found["generate"] == len(changed) and found["judge"] == 3 * len(changed)
    assert not {"world_data", "data", "embed", "behaviour", "category"} & set(found)
