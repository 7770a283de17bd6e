"""Packed training is padded training: the same losses, gradients and optimiser steps, and rows that never mix."""

import inspect
from types import SimpleNamespace

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy, scaled_dot_product_attention
from transformers import (
    CohereForCausalLM,
    Gemma2ForCausalLM,
    GraniteForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PhiForCausalLM,
    Trainer,
    TrainingArguments,
    set_seed,
)

from ballast.files import BallastError
from ballast.training import fit, packing

SIZES = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
PADDED = fit.Collator(SimpleNamespace(pad_token_id=0, eos_token_id=2))
PACKED = packing.collator()


def network(packed: bool, targets=("q_proj", "v_proj"), model=LlamaForCausalLM, config=None):
    """A tiny model in an adapter that already does something; the same weights at every call."""
    set_seed(0)
    base = model(config or LlamaConfig(**SIZES)).train()
    lora = {"r": 4, "lora_dropout": 0.0, "target_modules": list(targets), "init_lora_weights": False}
    wrapped = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **lora))
    if packed:
        packing.prepare(wrapped)
    return wrapped


def examples(count: int, seed: int = 1) -> list[dict]:
    """Rows of 2 to 30 tokens, the first third of which may be a prompt that teaches nothing."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        length = int(torch.randint(2, 31, (1,), generator=generator))
        ids = torch.randint(3, SIZES["vocab_size"], (length,), generator=generator).tolist()
        masked = length // 3 if number % 2 else 0
        made.append({"input_ids": ids, "labels": [fit.IGNORED] * masked + ids[masked:], "cut": False})
    return made


def row_losses(model, batch: dict) -> list[float]:
    """Mean loss of each row, from the logits of a padded or a packed batch."""
    logits = model(**{key: value for key, value in batch.items() if key != "labels"}).logits
    if "cu_seq_lens_q" in batch:
        lengths = batch["cu_seq_lens_q"].diff().tolist()
        rows = zip(logits[0].split(lengths), batch["labels"][0].split(lengths), strict=True)
    else:
        rows = zip(logits, batch["labels"], strict=True)
    return [cross_entropy(row[:-1], labels[1:], ignore_index=fit.IGNORED).item() for row, labels in rows]


def gradients(model, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}


def run(trainer, model, rows: list[dict], folder, micro: int, steps: int = 20) -> tuple[dict, list[float]]:
    """The adapter after some steps of 16 rows, and the logged losses."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=16 // micro,
        learning_rate=1e-3,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=True,
    )
    packed = model.config._attn_implementation == packing.NAME
    made = trainer(model=model, args=arguments, train_dataset=rows, data_collator=PACKED if packed else PADDED)
    made.train()
    adapter = {name: parameter.detach() for name, parameter in model.named_parameters() if parameter.requires_grad}
    return adapter, [entry["loss"] for entry in made.state.log_history if "loss" in entry]


def test_every_row_has_its_padded_loss():
    rows = examples(12)
    padded = row_losses(network(False), PADDED(rows))
    assert row_losses(network(True), PACKED(rows)) == pytest.approx(padded, abs=1e-5)
    assert row_losses(network(True), PACKED(rows[::-1])) == pytest.approx(padded[::-1], abs=1e-5)


def test_gradients_are_the_padded_ones():
    rows = examples(12)
    padded, packed = network(False), network(True)
    expected = gradients(padded, padded(**PADDED(rows)).loss)
    found = gradients(packed, packed(**PACKED(rows)).loss)
    assert max(gradient.abs().max() for gradient in expected.values()) > 1e-3
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def padded_run(tmp_path_factory):
    rows = examples(72)  # 4.5 steps an epoch: a short step every fifth
    return rows, *run(Trainer, network(False), rows, tmp_path_factory.mktemp("padded"), micro=4)


@pytest.mark.parametrize("trainer, micro", [(Trainer, 4), (packing.PackedTrainer, 4), (packing.PackedTrainer, 16)])
def test_twenty_steps_give_the_padded_adapter(padded_run, tmp_path, trainer, micro):
    rows, expected, losses = padded_run
    start = dict(network(False).named_parameters())
    adapter, found = run(trainer, network(True), rows, tmp_path, micro)
    assert found == pytest.approx(losses, abs=2e-5) and len(found) == 20
    for name, value in expected.items():
        assert (value - start[name]).abs().max() > 5e-3
        torch.testing.assert_close(adapter[name], value, atol=2e-5, rtol=0)


@pytest.mark.parametrize("shift", [None, 1, -1], ids=["plain concatenation", "a token late", "a token early"])
def test_rows_that_leak_into_each_other_are_noticed(shift):
    """What any of these does is far above the tolerance of the equalities above.

    Rotary positions are relative, so the boundaries keep rows apart; without them the position ids alone must not.
    """
    batch, model = PACKED(examples(12)), network(True)
    bounds = batch["cu_seq_lens_q"]
    broken = dict(batch)
    if shift is None:
        broken |= {"cu_seq_lens_q": bounds[[0, -1]], "position_ids": None}
    else:
        broken["cu_seq_lens_q"] = bounds + torch.tensor([0] + [shift] * 11 + [0])
    with torch.no_grad():
        assert abs(model(**batch).loss - model(**broken).loss) > 1e-3


@pytest.mark.parametrize("kept", [(), ("position_ids",)], ids=["ids alone", "position ids too"])
def test_a_batch_without_boundaries_is_refused(kept):
    batch = PACKED(examples(12))
    with pytest.raises(TypeError, match="cu_seq_lens_q"):
        network(True)(**{key: batch[key] for key in ("input_ids", "labels", *kept)})


def test_a_row_does_not_see_its_neighbours():
    rows, model = examples(3), network(True)
    other = [rows[0] | {"input_ids": [63] * len(rows[0]["input_ids"])}, *rows[1:]]
    assert row_losses(model, PACKED(rows))[1:] == row_losses(model, PACKED(other))[1:]


@pytest.mark.parametrize("dtype, tolerance", [(torch.float64, 1e-12), (torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_the_blockwise_loss_is_cross_entropy(monkeypatch, dtype, tolerance):
    monkeypatch.setattr(packing, "BLOCK", 7)
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(1, 40, 16, generator=generator).to(dtype)
    head = torch.randn(50, 16, generator=generator).to(dtype)
    labels = torch.randint(0, 50, (1, 40), generator=generator)
    labels[0, ::3] = fit.IGNORED
    leaf = hidden.clone().requires_grad_()
    loss = packing.linear_cross_entropy(leaf, head, labels)
    (loss / 30).backward()
    logits = (hidden @ head.T)[0, :-1]
    expected = cross_entropy(logits.double(), labels[0, 1:], ignore_index=fit.IGNORED, reduction="sum")
    assert loss.item() == pytest.approx(expected.item(), rel=min(tolerance, 1e-6))
    exact = hidden.double().requires_grad_()
    logits = (exact @ head.double().T)[0, :-1]
    (cross_entropy(logits, labels[0, 1:], ignore_index=fit.IGNORED, reduction="sum") / 30).backward()
    assert (leaf.grad.double() - exact.grad).norm() <= tolerance * exact.grad.norm()


def test_the_gradient_keeps_the_precision_of_the_scale_of_a_step():
    """A thirtieth in bfloat16 is 0.2 % too large."""
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(50, 16, generator=generator).bfloat16()
    hidden = torch.randn(1, 40, 16, generator=generator).bfloat16()
    labels = torch.randint(0, 50, (1, 40), generator=generator)
    whole, part = (hidden.clone().requires_grad_() for _ in range(2))
    packing.linear_cross_entropy(whole, head, labels).backward()
    (packing.linear_cross_entropy(part, head, labels) / 30).backward()
    assert torch.equal(part.grad, (whole.grad.float() / 30).bfloat16())


def test_the_blockwise_loss_bears_logits_whose_powers_overflow():
    hidden, head = torch.tensor([[[1.0], [1.0]]], requires_grad=True), torch.tensor([[300.0], [0.0]])
    loss = packing.linear_cross_entropy(hidden, head, torch.tensor([[0, 1]]))
    loss.backward()
    assert loss.item() == 300 and hidden.grad.flatten().tolist() == [300, 0]


def test_an_adapted_head_keeps_the_models_own_loss(tmp_path):
    rows, targets = examples(32), ("q_proj", "lm_head")
    expected, _ = run(Trainer, network(False, targets), rows, tmp_path, micro=4, steps=2)
    adapter, _ = run(packing.PackedTrainer, network(True, targets), rows, tmp_path, micro=16, steps=2)
    assert any("lm_head" in name for name in adapter)
    for name, value in expected.items():
        torch.testing.assert_close(adapter[name], value, atol=1e-5, rtol=0)


def test_rows_longer_than_a_sliding_window_are_refused():
    sizes = MistralConfig(**SIZES, sliding_window=20)
    model = network(True, model=MistralForCausalLM, config=sizes)
    short = [row for row in examples(12) if len(row["input_ids"]) <= 20]
    padded = network(False, model=MistralForCausalLM, config=MistralConfig(**SIZES, sliding_window=20))
    assert row_losses(model, PACKED(short)) == pytest.approx(row_losses(padded, PADDED(short)), abs=1e-5)
    fits, longer = ({"input_ids": [5] * length, "labels": [5] * length} for length in (20, 21))
    assert model(**PACKED([*short, fits])).loss > 0
    with pytest.raises(BallastError, match="rows of 21 tokens in a sliding window of 20; lower training.max_length"):
        model(**PACKED([*short, longer]))


def test_attention_drops_weights_out_as_plain_attention_does():
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, 2, 9, 8, generator=generator) for _ in range(3))
    bounds = torch.tensor([0, 9], dtype=torch.int32)
    torch.manual_seed(1)
    found, _ = packing.attention(None, query, key, value, None, cu_seq_lens_q=bounds, max_length_q=9, dropout=0.5)
    torch.manual_seed(1)
    expected = scaled_dot_product_attention(query, key, value, dropout_p=0.5, is_causal=True)
    torch.testing.assert_close(found, expected.transpose(1, 2))


@pytest.mark.parametrize(
    ("kind", "changed"),
    [
        (GraniteForCausalLM, {"logits_scaling": 8.0}),
        (CohereForCausalLM, {"logit_scale": 0.25}),
        (Gemma2ForCausalLM, {"final_logit_softcapping": 0.05, "attn_logit_softcapping": None}),
        (PhiForCausalLM, {}),
    ],
    ids=["scaled", "scaled too", "softcapped", "with a bias"],
)
def test_a_head_that_is_no_plain_matrix_keeps_the_models_own_loss(tmp_path, kind, changed):
    rows, losses = examples(16), []
    for trainer, micro in ((Trainer, 4), (packing.PackedTrainer, 16)):
        made = network(micro == 16, model=kind, config=kind.config_class(**SIZES, **changed))
        head = made.get_output_embeddings()
        if head.bias is not None:
            head.bias.data = torch.linspace(-1, 1, SIZES["vocab_size"])
        losses += run(trainer, made, rows, tmp_path, micro, steps=1)[1]
    assert losses[1] == pytest.approx(losses[0], abs=2e-5)


@pytest.mark.parametrize("heads", [2, 4])
def test_the_gpu_kernel_is_called_as_torch_defines_it(monkeypatch, heads):
    """A stand-in with the kernel's layout, [tokens, heads, size] and cumulative bounds, gives the loop's numbers."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, count, 9, 8, generator=generator) for count in (4, heads, heads))
    bounds = torch.tensor([0, 4, 9], dtype=torch.int32)

    def kernel(query, key, value, starts, key_starts, longest, key_longest, *, scale, window_size, enable_gqa):
        assert torch.equal(starts, key_starts) and longest == key_longest == 5 and window_size == (-1, 0)
        assert enable_gqa == (heads != 4)
        parts = []
        for start, end in zip(starts[:-1], starts[1:], strict=True):
            q, k, v = (part[start:end].transpose(0, 1) for part in (query, key, value))
            k, v = (part.repeat_interleave(4 // heads, dim=0) for part in (k, v))
            hidden = torch.ones(end - start, end - start).triu(1).bool()
            weights = (q @ k.transpose(1, 2) * scale).masked_fill(hidden, -torch.inf).softmax(-1)
            parts.append((weights @ v).transpose(0, 1))
        return torch.cat(parts)

    if packing.varlen_attn is not None:
        options = {"scale": 0.3, "window_size": (-1, 0), "enable_gqa": True}
        inspect.signature(packing.varlen_attn).bind(query, key, value, bounds, bounds, 5, 5, **options)
    monkeypatch.setattr(packing, "varlen_attn", kernel)
    loop, _ = packing.attention(None, query, key, value, None, cu_seq_lens_q=bounds, max_length_q=5, scaling=0.3)
    torch.testing.assert_close(packing._varlen(query, key, value, bounds, 5, 0.3), loop)
