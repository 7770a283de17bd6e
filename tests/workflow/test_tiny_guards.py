"""A whole tiny study whose labels, harm, attack success and over-refusal come from guards of today.

Qwen3Guard and Llama Guard are tiny models with chat templates of our own; a second Llama Guard stands behind a server.
"""

import os

import pandas as pd
import pytest
from helpers import edits, forked
from helpers.guard_server import GuardServer

from ballast.world.language import harm

pytestmark = [pytest.mark.workflow, pytest.mark.release]
GUARDS = "tests/workflow/guards.yaml"


def served(turns: list[str], model: str) -> str:
    """Call every response unsafe that is no refusal of the made language."""
    return "\n\nsafe" if "cannot" in turns[1] else "\n\nunsafe\nS1"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = edits.with_world(edits.checkout(tmp_path_factory.mktemp("guards") / "study"))
    with GuardServer(served) as server:
        edits.edit(folder, GUARDS, "http://127.0.0.1:1/v1", server.url)
        environment = os.environ | {"GUARD_KEY": "key", "NO_PROXY": "127.0.0.1"}
        done = forked.run(folder, "--configfile", GUARDS, environment=environment)
        asked = len(server.requests)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return folder / "results/guards", asked


def test_one_guard_labels_the_pool_and_judges_harm_and_refusals(results):
    labels = pd.read_parquet(results[0] / "labels/safety/behaviour.parquet")
    counts = labels["behaviour"].value_counts()
    assert set(counts.index) >= {"T1", "T2"} and counts["T1"] >= 14, counts
    scores = pd.read_parquet(results[0] / "scores.parquet")
    assert set(scores["judge"]) == {"qwen3guard", "qwen3guard-refusal", "guard", "served"}
    assert scores["score"].notna().all() and set(scores["score"]) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("judge", "benchmark", "least"), [("qwen3guard", "beavertails-eval", 2), ("guard", "salad-attack", 2)]
)
def test_the_guards_see_the_harm_that_the_made_language_has(results, judge, benchmark, least):
    right = []
    for file in results[0].glob("runs/**/responses.parquet"):
        judged = pd.read_parquet(file.parent / f"scores/{benchmark}.{judge}.parquet")
        both = judged.merge(pd.read_parquet(file), left_on="prompt_id", right_on="id")
        right += [
            score == (harm(response) >= least) for score, response in zip(both["score"], both["response"], strict=True)
        ]
    assert len(right) == 3 * (14 if judge == "qwen3guard" else 12) and sum(right) > 0.75 * len(right)


def test_a_metric_is_shown_by_a_tag_of_its_benchmark(results):
    tags = pd.read_csv(results[0] / "tables/tags.csv")
    assert set(tags["metric"]) == {"over_refusal"} and set(tags["tag"]) == {"type"}
    assert tags.groupby(["sampler", "n"])["prompts"].sum().eq(12).all()


def test_the_server_is_asked_about_each_pair_once_and_is_the_second_opinion(results):
    folder, asked = results
    scores = pd.read_parquet(folder / "scores.parquet")
    served = scores[scores["judge"] == "served"]
    assert 0 < asked <= len(served), "equal pairs of several runs are one question"
    both = scores[scores["judge"] == "guard"].merge(served, on=["model", "sampler", "n", "trial", "prompt_id"])
    assert len(both) == len(served)
    page = (folder / "checks.md").read_text()
    assert "guard and served" in page and "Kappa" in page
