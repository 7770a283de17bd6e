"""Cards and merged models of a finished study: made when asked for, by jobs of their own, and nothing else runs."""

import hashlib
import shutil
from pathlib import Path

import pytest
from helpers import edits
from peft import PeftModel
from transformers import AutoModelForCausalLM

from ballast import cli

pytestmark = pytest.mark.workflow
RUN = "results/small/runs/llama/safety/sss/n7/t0"
MERGED = f"{RUN}/merged/model.safetensors"


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "study"
    shutil.copytree(finished, folder, symlinks=True)
    assert edits.pending(folder, "--configfile", edits.SMALL, "--", MERGED) == {"card": 1, "merge": 1}
    edits.snakemake(folder, "--configfile", edits.SMALL, "--", MERGED)
    return folder


def test_the_study_has_nothing_to_do_after_it_and_verifies(exported):
    assert edits.pending(exported, "--configfile", edits.SMALL) == {}
    edits.snakemake(exported, "--configfile", edits.SMALL, "--", "verify")


def test_the_adapter_with_its_card_loads_on_its_model_and_the_merged_model_alone(exported):
    card = (exported / RUN / "README.md").read_text()
    weights = exported / RUN / "adapter_model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() in card and "| subset | 7 rows |" in card
    assert str(exported) not in card
    base = AutoModelForCausalLM.from_pretrained(exported / "results/worlds/small/models/llama-aligned")
    PeftModel.from_pretrained(base, str(exported / RUN))
    AutoModelForCausalLM.from_pretrained(exported / RUN / "merged")


def test_push_takes_the_adapter_and_the_whole_study(exported, monkeypatch, capsys):
    monkeypatch.chdir(exported)
    for path in (RUN, "results/small"):
        assert cli.main(["push", path, "--to", "me/made", "--dry-run"]) == 0, capsys.readouterr().err
    assert "adapter of run llama/safety/sss/n7/t0" in capsys.readouterr().out


def test_made_again_it_has_the_same_bytes(exported):
    before = {path.name: path.read_bytes() for path in (exported / RUN / "merged").iterdir()}
    shutil.rmtree(exported / RUN / "merged")
    edits.snakemake(exported, "--configfile", edits.SMALL, "--", MERGED)
    assert {path.name: path.read_bytes() for path in (exported / RUN / "merged").iterdir()} == before


def test_another_adapter_makes_another_card(exported):
    edits.edit(exported, edits.SMALL, "study: small", "study: small\ntraining: {learning_rate: 3.0e-3}")
    found = edits.pending(exported, "--configfile", edits.SMALL, "--", f"{RUN}/README.md")
    assert found == {"train": 1, "card": 1}
