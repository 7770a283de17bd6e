"""Each row's gradient out of one pass is what a backward pass over that row alone gives."""

from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, set_seed

from ballast.backends import transformers as backend
from ballast.files import BallastError
from ballast.training import fit, packing, per_example

PADDED = fit.Collator(SimpleNamespace(pad_token_id=0, eos_token_id=2))
PACKED = packing.collator()
ALL = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def adapted(model, packed=False, targets=ALL, dtype="float32", **settings):
    """The tiny model in an adapter that already does something, unless it is at its start; dropout is on."""
    set_seed(0)
    settings = {"r": 4, "lora_alpha": 12, "lora_dropout": 0.3, "init_lora_weights": False} | settings
    lora = LoraConfig(task_type="CAUSAL_LM", target_modules=list(targets), **settings)
    network = get_peft_model(backend.load_model(model, dtype), lora).train()
    if packed:
        packing.prepare(network)
    return network


def examples(count=7, seed=1) -> list[dict]:
    """Rows of 3 to 30 tokens, with prompts that teach nothing before every second one."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        length = int(torch.randint(3, 31, (1,), generator=generator))
        ids = torch.randint(3, 200, (length,), generator=generator).tolist()
        masked = length // 2 if number % 2 else 0
        made.append({"input_ids": ids, "labels": [fit.IGNORED] * masked + ids[masked:]})
    return made


def alone(network, rows: list[dict]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Losses and gradients by transformers' own loss and autograd, a row at a time, without padding or packing."""
    network = network.eval()
    named = {name: value for name, value in network.named_parameters() if value.requires_grad}
    losses, found = [], []
    for row in rows:
        loss = network(torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss
        losses.append(loss.detach())
        found.append(torch.autograd.grad(loss, list(named.values())))
    return torch.stack(losses), {
        name: torch.stack(each) for name, each in zip(named, zip(*found, strict=True), strict=True)
    }


def rows_gradients(network, batch: dict) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Each row's loss [rows] and gradient, by weight [rows, *shape], all kept at once."""
    found = {}
    losses = per_example.rows_pass(network, batch, found.__setitem__)
    return losses, {name: found[name] for name in per_example.weights(network)}


def assert_close(found: dict, expected: dict, relative: float) -> None:
    assert list(found) == list(expected)
    size = sum(value.double().square().sum() for value in expected.values()).sqrt()
    gap = sum((found[name].double() - value.double()).square().sum() for name, value in expected.items()).sqrt()
    assert size > 1e-3 and gap <= relative * size


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
@pytest.mark.parametrize("settings", [{}, {"init_lora_weights": True}, {"targets": ("q_proj", "lm_head")}])
def test_gradients_are_those_of_each_row_alone(model, packed, settings):
    rows = examples()
    expected_losses, expected = alone(adapted(model, **settings), rows)
    network = adapted(model, packed, **settings)
    losses, found = rows_gradients(network, (PACKED if packed else PADDED)(rows))
    torch.testing.assert_close(losses, expected_losses, rtol=1e-6, atol=1e-6)
    assert_close(found, expected, 1e-6)
    assert network.training and all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("packed", [False, True], ids=["padded", "packed"])
def test_half_precision_is_near_and_the_gradients_are_float32(model, packed):
    rows = examples()
    _, expected = alone(adapted(model), rows)
    batch = (PACKED if packed else PADDED)(rows)
    losses, found = rows_gradients(adapted(model, packed, dtype="bfloat16"), batch)
    assert losses.dtype == torch.float32 and {value.dtype for value in found.values()} == {torch.float32}
    assert_close(found, expected, 0.05)


def test_scores_are_those_of_the_stored_gradients(model):
    network, batch = adapted(model, packed=True), PACKED(examples())
    direction = {name: torch.randn_like(value) for name, value in per_example.weights(network).items()}
    losses, stored = rows_gradients(network, batch)
    scores = per_example.rows_scores(network, batch, direction)
    flat = torch.cat([value.flatten(1) for value in stored.values()], dim=1)
    assert torch.equal(scores["loss"], losses)
    along = flat @ torch.cat([value.flatten() for value in direction.values()])
    torch.testing.assert_close(scores["dot"], along, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scores["norm"], flat.norm(dim=1))


def test_a_summed_gradient_is_the_stored_ones_times_their_shares(model):
    network, batch = adapted(model), PADDED(examples())
    shares = torch.tensor([0.5, 0, 0.1, 0.2, 0, -1.0, 3.0])
    _, stored = rows_gradients(network, batch)
    expected = {name: torch.einsum("r,roi->oi", shares, value) for name, value in stored.items()}
    assert_close(per_example.summed_gradient(network, batch, shares), expected, 1e-6)


def test_one_weight_is_looked_at_at_a_time_and_dropout_is_off(model):
    network, batch, seen = adapted(model), PADDED(examples(3)), []
    first = per_example.rows_pass(network, batch, lambda name, gradient: seen.append((name, gradient.shape[0])))
    assert sorted(seen) == sorted((name, 3) for name in per_example.weights(network))
    assert torch.equal(first, per_example.rows_pass(network, batch, lambda *_: None))


def test_a_row_that_learns_nothing_has_no_loss_and_no_gradient(model):
    rows = examples(2) + [{"input_ids": [5, 6, 7], "labels": [fit.IGNORED] * 3}]
    losses, found = rows_gradients(adapted(model), PADDED(rows))
    assert losses[2] == 0 and not any(value[2].any() for value in found.values())


def test_training_that_is_watched_gives_the_same_gradient_also_with_checkpointing(model):
    rows = examples()
    found = {}
    for way in (None, True, False):
        network, batch, kept = adapted(model, lora_dropout=0.0), PADDED(rows), {}
        if way is not None:
            network.enable_input_require_grads()
            network.gradient_checkpointing_enable({"use_reentrant": way})
        with per_example.watching(network, batch, kept.__setitem__):
            network(**batch).loss.backward()
        for name, parameter in per_example.weights(network).items():
            torch.testing.assert_close(kept[name].sum(dim=0), parameter.grad, atol=1e-6, rtol=1e-5)
        found[way] = kept
    assert_close(found[True], {name: found[None][name] for name in found[True]}, 1e-6)
    assert_close(found[False], {name: found[None][name] for name in found[False]}, 1e-6)


def test_batches_are_the_same_whatever_the_order_of_the_rows():
    rows = examples(9)
    seen = [
        [batch["input_ids"].tolist() for _, batch in per_example.batches(given, 4, PADDED, "cpu")]
        for given in (rows, rows[::-1])
    ]
    assert seen[0] == seen[1] and [len(batch) for batch in seen[0]] == [4, 4, 1]
    positions = [at for chosen, _ in per_example.batches(rows, 4, PADDED, "cpu") for at in chosen]
    assert sorted(positions) == list(range(9))


def test_what_is_learnt_and_is_no_linear_layer_is_refused(model):
    network = AutoModelForCausalLM.from_pretrained(model)
    with pytest.raises(BallastError, match="embed_tokens.weight is learnt and is not the weight of a linear layer"):
        per_example.weights(network)
    with pytest.raises(BallastError, match="bias"):
        per_example.weights(adapted(model, bias="lora_only", lora_bias=True))
