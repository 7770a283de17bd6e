"""The trainer `patch`: epochs on the safety rows alone, from another method's adapter; and how a study plans it."""

import json

import pytest
import torch
from helpers.tiny_runs import OPTIONS
from safetensors.torch import load_file
from test_bill import options
from test_job_inputs import jobs, wildcards

from ballast.files import BallastError
from ballast.running.bill import bill
from ballast.running.bill_options import BillOptions
from ballast.study.runs import Run
from ballast.trainers import patch, sft
from ballast.training import fit

LORA = OPTIONS["lora"] | {"lora_dropout": 0.0}
MINE = {"patch_epochs": 5, "patch_learning_rate": 3e-3}


@pytest.fixture
def first(model, rows, tmp_path):
    """The options of a patch of an adapter that was trained on base rows alone."""
    sft.train(model, rows[rows["origin"] == "base"], OPTIONS | {"lora": LORA}, 0, tmp_path / "first")
    return OPTIONS | {"lora": LORA, "adapter": str(tmp_path / "first")} | MINE


def weights(folder) -> dict:
    return load_file(folder / "adapter_model.safetensors")


def test_a_patch_by_hand_is_adamw_on_the_mean_loss_of_the_responses(model, rows, tmp_path, first):
    """Each epoch is one step; no warm-up, a constant rate, gradients clipped to 1, and the prompt is not learnt."""
    log = patch.train(model, rows, first, 0, tmp_path / "out")
    assert log["rows_by_origin"] == {"subset": 2} and log["steps"] == 5 and log["rows"] == 2
    network = fit.with_adapter(fit.base_model(model, first), first)
    learnt = [each for each in network.parameters() if each.requires_grad]
    moments = [(torch.zeros_like(each), torch.zeros_like(each)) for each in learnt]
    picked = rows[rows["origin"] == "subset"].reset_index(drop=True)
    examples = fit.encode(fit.load_tokenizer(model), picked, first | {"train_on_prompt": False})
    for step in range(1, 6):
        losses = []
        for example in examples:
            ids, begin = torch.tensor([example["input_ids"]]), example["prompt"]
            likely = torch.log_softmax(network(ids).logits[0, begin - 1 : -1], dim=-1)
            losses.append(-likely.gather(1, ids[0, begin:, None]).flatten())
        gradients = torch.autograd.grad(torch.cat(losses).mean(), learnt)
        norm = torch.cat([each.flatten() for each in gradients]).norm()
        for each, gradient, (mean, square) in zip(learnt, gradients, moments, strict=True):
            gradient = gradient / max(1.0, float(norm))
            mean.mul_(0.9).add_(0.1 * gradient)
            square.mul_(0.999).add_(0.001 * gradient**2)
            moved = mean / (1 - 0.9**step) / ((square / (1 - 0.999**step)).sqrt() + 1e-8)
            with torch.no_grad():
                each -= 3e-3 * moved
    wanted = [each for each in fit.PeftModel.state_dict(network).items() if "lora" in each[0]]
    found = weights(tmp_path / "out")
    assert len(wanted) == len(found) > 0
    for name, value in wanted:
        assert torch.allclose(found[name.replace(".default", "")], value, atol=1e-5), name


def test_a_patch_is_plain_training_on_the_same_rows_to_the_byte(model, rows, tmp_path, first):
    """Base rows change nothing; neither do the study's own epochs, rate, schedule and held-out rows."""
    patch.train(model, rows, first | {"validation_rows": 1}, 3, tmp_path / "patch")
    plain = first | patch.ALONE | {"num_train_epochs": 5, "learning_rate": 3e-3}
    sft.train(model, rows[rows["origin"] == "subset"], plain, 3, tmp_path / "plain")
    files = [(tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("patch", "plain", "first")]
    assert files[0] == files[1] != files[2]


def test_a_patch_on_one_row_takes_a_step_an_epoch(model, rows, tmp_path, first):
    log = patch.train(model, rows.iloc[:11], first, 0, tmp_path / "out")
    assert (log["rows_by_origin"], log["steps"]) == ({"subset": 1}, 5)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"adapter": None}, "trainer patch: no adapter to train further"),
        ({"patch_epochs": 0}, "patch_epochs 0, patch_learning_rate 0.003; both must be above 0"),
        ({"patch_learning_rate": 0.0}, "both must be above 0"),
    ],
)
def test_what_a_patch_cannot_do_is_said(model, rows, tmp_path, first, changed, told):
    with pytest.raises(BallastError, match=told):
        patch.train(model, rows, first | changed, 0, tmp_path / "out")


@pytest.fixture(scope="module")
def peers():
    return jobs("config/peers.yaml")


def test_a_patch_job_reads_its_subset_and_the_adapter_of_base_data_alone(peers):
    job = wildcards(Run("llama", "safety", "patch-b", 1, 2))
    folder = "results/peers/runs/llama/safety/none/n0/t2"
    assert peers.inputs.patched_adapter(job) == folder
    assert peers.inputs.patched_files(job) == [f"{folder}/adapter_model.safetensors", f"{folder}/adapter_config.json"]
    assert peers.inputs.subset_rows(job) == "results/peers/subsets/safety/random-b/n1/t2.parquet"
    told = json.loads(peers.options.training(job))
    assert (told["trainer"], told["patch_epochs"], told["patch_learning_rate"]) == ("patch", 10, 0.001)
    plain = wildcards(Run("llama", "safety", "random-b", 1, 2))
    assert peers.inputs.patched_adapter(plain) is None and peers.inputs.patched_files(plain) == []


def test_a_patchs_cost_is_both_trainings_and_its_own_sample(peers):
    logs = [each for each in json.loads(peers.documents.spent_logs())["runs"] if each["sampler"] == "patch-b"]
    assert len(logs) == 10
    first = next(each for each in logs if each["n"] == 14)
    assert "patch-b/n14/t0" in first["transform"] and "none/n0/t0" in first["train"]
    assert "random-b/n14/t0" in first["sample"]


def test_the_bill_prices_a_patch_by_its_rows_not_by_the_base_data(peers):
    counted = BillOptions(peers.documents, dict, "snakemake").equal_runs()
    alone = [(run["n"], run["jobs"]) for run in counted if run.get("alone")]
    assert sorted(alone) == [(1, 10), (14, 10)]
    plain = {"model": "m", "n": 0, "wanted": [], "jobs": 1}

    def hours(*runs):
        return {line.rule: line.work for line in bill(options(runs=list(runs))).lines}["train"]

    both = hours(plain, plain | {"n": 2, "alone": True})
    assert both == pytest.approx(hours(plain) * (1 + 2 * 139 / (1000 * 160)))


def test_a_card_says_that_the_rows_came_last_and_alone(peers):
    found = json.loads(peers.cards.card(wildcards(Run("llama", "safety", "patch-b", 1, 0))))
    assert found["patched"] and found["parts"]["of"] == "none"
    assert (found["parts"]["sampler"], found["parts"]["trainer"]) == ("random among T1", "patch")
    plain = json.loads(peers.cards.card(wildcards(Run("llama", "safety", "random-b", 1, 0))))
    assert "patched" not in plain
