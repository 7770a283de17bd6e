"""Methods through the workflow: each kind of plug-in runs, says what it did, and is re-run alone when it is edited."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from helpers import edits

pytestmark = [pytest.mark.workflow, pytest.mark.release]
CONFIG = "tests/workflow/methods.yaml"
RUNS = "results/methods/runs/llama/safety"
# What shows scores, and what methods cost.
SHOWN = {"scores", "table", "figure", "comparison", "spent", *edits.DOCUMENTS}


def pending(folder: Path, *arguments: str) -> dict[str, int]:
    return edits.pending(folder, "--configfile", CONFIG, *arguments)


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory) -> Path:
    """A checkout in which the study has run; the world is the small study's."""
    folder = Path(shutil.copytree(finished, tmp_path_factory.mktemp("methods") / "study", symlinks=True))
    jobs = pending(folder)
    # The transform and the second task take the adapter of `random`, so twelve methods are ten trainings.
    assert jobs["train"] + jobs["train_selecting"] == 10 and jobs["train_selecting"] == 2
    assert (jobs["transform"], jobs["train_on"], jobs["filter"]) == (1, 1, 3)
    assert (jobs["warm_up"], jobs["gradients"], jobs["logprobs"], jobs["sample_by_model"]) == (1, 3, 2, 1)
    assert jobs["generate"] == 12
    edits.snakemake(folder, "--configfile", CONFIG)
    return folder


@pytest.fixture
def copy(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


def log(folder: Path, run: str) -> dict:
    return json.loads((folder / RUNS / run / "training.json").read_text())


def test_nothing_is_left_to_do_and_every_file_is_as_it_was_made(made):
    assert pending(made) == {}
    edits.snakemake(made, "--configfile", CONFIG, "--", "verify")


def test_each_method_says_what_it_did(made):
    base = log(made, "random/n7/t0")["rows_by_origin"]["base"]
    for name, share in (("seal", 0.8), ("bi-anchor", 0.9)):
        assert log(made, f"{name}/n7/t0")["rows_by_origin"] == {"base": round(share * base), "subset": 7}
    [kept] = (made / "results/methods/kept/llama/safety/bi-anchor").rglob("*.csv")
    assert kept.parts[-2:] == ("n0", "t0.csv"), "one file for all n and trials, which it does not depend on"
    assert pd.read_csv(kept)["kept"].sum() == round(0.9 * base)
    chosen = pd.read_parquet(made / RUNS / "dualselect/n7/t0/selection.parquet")
    references = chosen[chosen["kept"] & (chosen["kind"] == "reference")]
    assert (references.groupby("epoch").size() == 7).all() and len(chosen[chosen["kind"] == "task"])
    assert (made / RUNS / "adaptive/n7/t0/selection.parquet").is_file()
    before, after = (made / RUNS / name / "n7/t0/adapter_model.safetensors" for name in ("random", "safe-lora"))
    assert before.read_bytes() != after.read_bytes()
    assert log(made, "safe-lora/n7/t0")["train_loss"] == log(made, "random/n7/t0")["train_loss"]
    patched = log(made, "patch/n7/t0")
    assert patched["rows_by_origin"] == {"subset": 7} and patched["steps"] == 10
    base_alone, after = (made / RUNS / f"{run}/t0/adapter_model.safetensors" for run in ("none/n0", "patch/n7"))
    assert base_alone.read_bytes() != after.read_bytes()
    assert log(made, "moderate-gradient/n0/t0")["rows_by_origin"] == {"base": round(0.2 * base)}
    [picked] = (made / "results/methods/subsets/llama/safety/loss-increase").rglob("*.csv")
    assert len(pd.read_csv(picked)) == 7


def test_every_method_stands_in_the_table_with_its_cost(made):
    named = set(pd.read_csv(made / "results/methods/tables/beyond.csv")["sampler"])
    spent = pd.read_csv(made / "results/methods/spent.csv").set_index("sampler")
    assert {"loss-increase", "dualselect", "seal", "safe-lora", "afterwards", "patch", "moderate-gradient"} <= named
    assert spent.at["patch", "transform"] > 0 < spent.at["patch", "train"]
    assert spent.at["moderate-gradient", "shared"] > 0
    assert set(spent.index) <= named and (spent["run"] > 0).all() and spent.at["seal", "filter"] > 0


def test_an_edited_plug_in_re_runs_its_own_runs(copy):
    """One plug-in of each kind at once: no two of them share a run, so each rule's count says whose it is."""
    edited = {
        "transforms/safe_lora.py": {"transform": 1},
        "filters/seal.py": {"filter": 1, "train": 1},
        "filters/moderate_gradient.py": {"filter": 1, "train": 1},
        "trainers/patch.py": {"train": 1},
        "trainers/dualselect.py": {"train_selecting": 1},
        "trainers/constrained_sft.py": {"train": 1},
        "samplers/loss_increase.py": {"sample_by_model": 1, "train": 1},
    }
    wanted = Counter({"generate": len(edited), "judge": 4 * len(edited)})
    for file, jobs in edited.items():
        path = copy / "scripts/ballast" / file
        path.write_text(path.read_text() + "\nassert True\n")
        wanted.update(jobs)
    found = {rule: number for rule, number in pending(copy).items() if rule not in SHOWN}
    assert found == wanted


def test_another_option_of_a_method_re_runs_it_alone(copy):
    edits.edit(copy, CONFIG, "options: {selector_epochs: 1}", "options: {selector_epochs: 2}")
    found = {rule: number for rule, number in pending(copy).items() if rule not in SHOWN}
    assert found == {"filter": 1, "train": 1, "generate": 1, "judge": 4, "about": 1}
