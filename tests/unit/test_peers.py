"""Trainers of other publications: each is its definition, and plain training where that says so."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.tiny_runs import OPTIONS
from test_checkpoints import Killed, killed_after

from ballast import plugins
from ballast.backends import transformers as backend
from ballast.files import BallastError
from ballast.trainers import constrained_sft, lisa, safegrad
from ballast.training import apart, checkpoints, fit

LISA = {"alignment_steps": 2, "task_steps": 3, "rho": 0.1}
SAFEGRAD = {"alignment": "kl", "alignment_rows": 2, "rho": 0.0}
CONSTRAINED = {"beta_first": 0.5, "beta_start": 2.0, "start_tokens": 2, "beta_rest": 0.1}
TRAINERS = {"lisa": LISA, "safegrad": SAFEGRAD, "constrained-sft": CONSTRAINED}
# Ten rows of the task in micro-batches of two, three steps an epoch.
EPOCHS = OPTIONS | {"num_train_epochs": 2, "batch_size": 4, "per_device_train_batch_size": 2}
RESPONSES = EPOCHS | {"train_on_prompt": False}


def reference(model: str, rows: pd.DataFrame, options: dict) -> SimpleNamespace:
    """Log-probabilities of each response under the model, one row at a time."""
    network, tokenizer, found = backend.load_model(model), backend.load_tokenizer(model), {}
    for example in fit.encode(tokenizer, rows, options):
        ids = torch.tensor([example["input_ids"]])
        with torch.no_grad():
            likely = torch.log_softmax(network(ids).logits[0, :-1], dim=-1).gather(1, ids[0, 1:, None])[:, 0]
        found[rows["id"][example["row"]]] = likely[example["prompt"] - 1 :].numpy()
    return SimpleNamespace(logprobs=pd.Series(found))


def trained(name: str, model, rows, out, options: dict, partial=None, seed=0) -> tuple[dict, bytes]:
    """The log and the adapter's bytes."""
    features = reference(model, rows, options) if name == "constrained-sft" else None
    given = {} if name == "sft" else {"features": features}
    plugin = plugins.load("trainers", name)
    log = plugin.train(model, rows, TRAINERS.get(name, {}) | options, seed, out, partial, **given)
    return log, (out / "adapter_model.safetensors").read_bytes()


@pytest.fixture(params=[False, True], ids=["padded", "packed"])
def options(request) -> dict:
    return RESPONSES | {"packing": request.param}


@pytest.mark.parametrize("name", TRAINERS)
def test_equal_inputs_give_equal_bytes_and_others_do_not(name, model, rows, tmp_path, options):
    log, weights = trained(name, model, rows, tmp_path / "one", options)
    assert trained(name, model, rows, tmp_path / "two", options) == (log, weights)
    assert trained(name, model, rows, tmp_path / "other", options, seed=1)[1] != weights
    assert trained("sft", model, rows, tmp_path / "sft", options)[1] != weights
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]


@pytest.mark.parametrize("name", TRAINERS)
def test_packed_steps_are_the_padded_ones(name, model, rows, tmp_path):
    from safetensors.torch import load

    plain = RESPONSES | {"lora": OPTIONS["lora"] | {"lora_dropout": 0.0}}
    found = [load(trained(name, model, rows, tmp_path / str(on), plain | {"packing": on})[1]) for on in (False, True)]
    assert all(torch.allclose(found[0][weight], found[1][weight], atol=2e-5) for weight in found[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINERS)
@pytest.mark.parametrize(("saves", "packing"), [(1, True), (2, False)])
def test_a_run_killed_again_and_again_ends_as_one_that_never_was(
    name, saves, packing, model, rows, tmp_path, monkeypatch, capsys
):
    options = RESPONSES | {"packing": packing}
    whole = trained(name, model, rows, tmp_path / "whole", options)
    killed_after(monkeypatch, saves)
    capsys.readouterr()
    for _ in range(9):
        with suppress(Killed), checkpoints.unfinished(tmp_path / "partial", {"model": "a"}, 0.0) as partial:
            again = trained(name, model, rows, tmp_path / "run", options, partial)
            break
    assert again == whole and capsys.readouterr().err.count("continues from step") > 1
    assert not (tmp_path / "partial").exists()


@pytest.mark.parametrize("name", TRAINERS)
def test_held_out_rows_are_measured_by_their_plain_loss(name, model, rows, tmp_path, options):
    held_out = options | {"validation_rows": 3, "learning_rate": 1e-9}
    log, _ = trained(name, model, rows, tmp_path / name, held_out)
    plain, _ = trained("sft", model, rows, tmp_path / "sft", held_out)
    assert log["validation_losses"] == pytest.approx(plain["validation_losses"], abs=1e-5)


# ---- batches of safety rows


def test_every_pass_over_the_safety_rows_has_each_of_them_once():
    stream = [place for number in range(7) for place in apart.places(5, 3, number, seed=1)]
    passes = [stream[at : at + 5] for at in range(0, 20, 5)]
    assert all(sorted(one) == list(range(5)) for one in passes) and len(set(map(tuple, passes))) > 1
    assert apart.places(5, 3, 2, seed=2) != apart.places(5, 3, 2, seed=1) == stream[6:9]
    assert sorted(apart.places(2, 5, 0, seed=0)) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])


# ---- lisa


@pytest.mark.parametrize("turns", [{}, {"alignment_steps": 0}])
def test_lisa_without_safety_rows_or_steps_and_rho_0_is_plain_training(model, rows, tmp_path, options, turns):
    base = rows[rows["origin"] == "base"]
    log, weights = trained("lisa", model, rows if turns else base, tmp_path / "lisa", options | turns | {"rho": 0.0})
    assert weights == trained("sft", model, base, tmp_path / "sft", options)[1]
    assert log["alignment_steps"] == 0


def test_lisa_takes_turns_from_the_safety_rows(model, rows, tmp_path, monkeypatch):
    """K1 = 2, K2 = 3 in six steps: S S T T T S."""
    seen, compute = [], fit.Trainer.compute_loss

    def look(trainer, network, inputs, *given, **named):
        seen.append({tuple(ids) for ids in inputs["input_ids"].tolist()})
        return compute(trainer, network, inputs, *given, **named)

    monkeypatch.setattr(fit.Trainer, "compute_loss", look)
    log, _ = trained("lisa", model, rows, tmp_path, RESPONSES)
    ids = [example["input_ids"] for example in fit.encode(backend.load_tokenizer(model), rows, RESPONSES)]
    safety = {tuple(each) for each in ids[10:]}
    # The third and the sixth step of an epoch of ten rows are of one micro-batch.
    kinds = "".join("S" if batch <= safety else "?" if batch & safety else "T" for batch in seen)
    assert kinds == "SSSS" + "T" + "TTTT" + "S"
    assert log["alignment_steps"] == 3 and log["steps"] == 6


def test_lisa_is_drawn_back_to_where_it_switched(model, rows, tmp_path, monkeypatch):
    """K1 = 2, K2 = 3: the states begin at steps 0, 2 and 5."""
    weights, anchors, samples = [], [], lisa.Lisa.get_batch_samples

    def look(trainer, *given):
        weights.append(torch.cat([parameter.detach().flatten() for _, parameter in trainer.learnt()]))
        found = samples(trainer, *given)
        anchors.append(torch.cat([value.flatten() for value in trainer.anchor.values()]))
        return found

    monkeypatch.setattr(lisa.Lisa, "get_batch_samples", look)
    trained("lisa", model, rows, tmp_path, RESPONSES | {"warmup_steps": 0})
    assert len({tuple(each.tolist()) for each in weights}) == 6
    assert all(torch.equal(anchors[step], weights[switch]) for step, switch in enumerate([0, 0, 2, 2, 2, 5]))


def test_lisas_proximal_term_by_hand():
    """Weights (1, 2), those at the switch (0, 2), rho 3 and a gradient of (1, 1): (1, 1) + 3 (1, 0)."""
    weight = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    weight.grad = torch.ones(2)
    made = SimpleNamespace(
        options={"rho": 3.0},
        accelerator=SimpleNamespace(sync_gradients=True),
        anchor={"w": torch.tensor([0.0, 2.0])},
        learnt=lambda: [("w", weight)],
        gradient_scale=lambda: 1.0,
    )
    lisa.Lisa.draw_back(made)
    assert weight.grad.tolist() == [4.0, 1.0]


def test_a_strong_proximal_term_keeps_lisa_where_it_switched(model, rows, tmp_path):
    moved = {}
    for rho in (0.0, 50.0):
        plain = RESPONSES | {"rho": rho, "max_grad_norm": 1e9, "optim": "sgd", "learning_rate": 1e-2}
        from safetensors.torch import load

        weights = load(trained("lisa", model, rows, tmp_path / str(rho), plain)[1])
        moved[rho] = sum(value.norm() for name, value in weights.items() if "lora_B" in name)
    assert 0 < moved[50.0] < moved[0.0]


@pytest.mark.parametrize("wrong", [{"rho": -1.0}, {"alignment_steps": -1}, {"alignment_steps": 0, "task_steps": 0}])
def test_lisas_impossible_options_are_refused(model, rows, tmp_path, wrong):
    with pytest.raises(BallastError, match="trainer lisa: .*none may be negative, nor both numbers of steps 0"):
        trained("lisa", model, rows, tmp_path, RESPONSES | wrong)


def test_lisa_must_leave_steps_to_the_task(model, rows, tmp_path):
    with pytest.raises(BallastError, match="alignment_steps 100 leave none of 6 steps to the task; lower"):
        trained("lisa", model, rows, tmp_path, RESPONSES | {"alignment_steps": 100})


# ---- safegrad


def corrected(task: list[float], aligned: list[float], rho: float = 0.0) -> list[float]:
    weight = torch.nn.Parameter(torch.zeros(len(task)))
    weight.grad = torch.tensor(task)
    made = SimpleNamespace(
        options={"rho": rho},
        cosines=[],
        learnt=lambda: [("w", weight)],
        alignment_gradient=lambda *_: [torch.tensor(aligned)],
        gradient_scale=lambda: 1.0,
    )
    safegrad.SafeGrad.correct(made, None)
    return weight.grad.tolist()


def test_safegrads_projection_by_hand():
    """<(3, 4), (-2, 0)> = -6, and 6 / 4 (-2, 0) = (-3, 0) goes; what agrees or is orthogonal stays."""
    assert corrected([3.0, 4.0], [-2.0, 0.0]) == [0.0, 4.0]
    assert corrected([3.0, 4.0], [2.0, 0.0]) == [3.0, 4.0] == corrected([3.0, 4.0], [0.0, 0.0])
    assert corrected([3.0, 4.0], [-2.0, 0.0], rho=0.5) == [-1.0, 4.0]
    assert corrected([3.0, 4.0], [-4.0, 3.0]) == [3.0, 4.0]


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("alignment", ["kl", "ce"])
def test_safegrads_gradient_is_that_of_the_loss_written_out(model, rows, tmp_path, monkeypatch, packing, alignment):
    """Each row alone, probabilities summed token by token, both models in full."""
    largest, gradient = [], safegrad.SafeGrad.alignment_gradient

    def check(trainer, network, parameters):
        found, peft = gradient(trainer, network, parameters), trainer.model
        total = tokens = 0
        for example in trainer.safety_batch(trainer.state.global_step, 2):
            ids, first = torch.tensor([example["input_ids"]]), example["prompt"] - 1
            extra = {"position_ids": torch.arange(ids.shape[1])[None]}
            if packing:
                extra |= {"cu_seq_lens_q": torch.tensor([0, ids.shape[1]]), "max_length_q": ids.shape[1]}
            with peft.disable_adapter(), torch.no_grad():
                p = peft.eval()(ids, **extra).logits[0, first:-1].softmax(-1)
            q = peft(ids, **extra).logits[0, first:-1].softmax(-1)
            peft.train()
            kl, ce = (p * (p.log() - q.log())).sum(), -q.gather(1, ids[0, first + 1 :, None]).log().sum()
            total, tokens = total + (kl if alignment == "kl" else ce), tokens + len(p)
        for one, other in zip(found, torch.autograd.grad(total / tokens, parameters), strict=True):
            torch.testing.assert_close(one, other, atol=1e-7, rtol=1e-3)
        largest.append(max(float(one.abs().max()) for one in found))
        return found

    monkeypatch.setattr(safegrad.SafeGrad, "alignment_gradient", check)
    log, _ = trained("safegrad", model, rows, tmp_path, RESPONSES | {"packing": packing, "alignment": alignment})
    assert len(largest) == 6 and max(largest) > 1e-5
    assert (largest[0] == 0) == (alignment == "kl"), "the aligned model is where training starts"
    assert log["conflicts"] or alignment == "ce"


def test_safegrad_without_conflict_is_plain_training(model, rows, tmp_path, options, monkeypatch):
    gradient = safegrad.SafeGrad.alignment_gradient

    def agrees(trainer, network, parameters):
        gradient(trainer, network, parameters)  # it may leave no trace
        return [parameter.grad.clone() for parameter in parameters]

    monkeypatch.setattr(safegrad.SafeGrad, "alignment_gradient", agrees)
    log, weights = trained("safegrad", model, rows, tmp_path / "safegrad", options)
    assert weights == trained("sft", model, rows[rows["origin"] == "base"], tmp_path / "sft", options)[1]
    assert log["conflicts"] == 0 and log["mean_cosine"] == pytest.approx(1)


def test_safegrad_without_safety_rows_is_refused(model, rows, tmp_path):
    with pytest.raises(BallastError, match="safegrad: no safety rows to align with; give the method a sampler"):
        trained("safegrad", model, rows[rows["origin"] == "base"], tmp_path, RESPONSES)


def test_safegrads_impossible_options_are_refused(model, rows, tmp_path):
    biased = RESPONSES | {"lora": OPTIONS["lora"] | {"bias": "all"}}
    with pytest.raises(BallastError, match="trained biases is not the aligned one; set training.lora.bias: none"):
        trained("safegrad", model, rows, tmp_path, biased)
    for wrong in ({"alignment_rows": 0}, {"rho": -0.1}):
        with pytest.raises(BallastError, match="at least one row and no negative weight are wanted"):
            trained("safegrad", model, rows, tmp_path, RESPONSES | wrong)


# ---- constrained-sft


@pytest.mark.parametrize("prompt", [False, True])
def test_constrained_sft_with_beta_0_is_plain_training(model, rows, tmp_path, options, prompt):
    options = options | {"train_on_prompt": prompt}
    none = options | dict.fromkeys(("beta_first", "beta_start", "beta_rest"), 0.0)
    log, weights = trained("constrained-sft", model, rows, tmp_path / "constrained", none)
    plain, expected = trained("sft", model, rows, tmp_path / "sft", options)
    assert weights == expected and log["train_loss"] == pytest.approx(plain["train_loss"], rel=1e-6)


def test_constrained_weights_by_hand():
    """log p - log p_ref = log 3 and beta 1: sigmoid(log 3) = 3 / 4, so 1 / 2; -log 3: 3 / 2; at the start 1."""
    step = torch.tensor([0.0, 1.0, -1.0, 1.0]) * np.log(3)
    found = constrained_sft.weights(step - 5, torch.full((4,), -5.0), torch.tensor([2.0, 1.0, 1.0, 0.0]))
    assert found.tolist() == pytest.approx([1, 0.5, 1.5, 1])


def test_a_responses_first_tokens_are_held_hardest():
    """A prompt of two tokens, a response of four: beta 0.5, then 2 to the second token, then 0.1; the prompt none."""
    known = pd.Series({"a": np.array([-1.0, -2.0, -3.0, -4.0])})
    for labels, before in (([-100, -100, 5, 6, 7, 2], []), ([1, 4, 5, 6, 7, 2], [0.0])):
        example = {"input_ids": [1, 4, 5, 6, 7, 2], "labels": labels, "prompt": 2}
        reference, beta = constrained_sft._constraint(example, "a", known, CONSTRAINED)
        assert reference.tolist() == [*before, -1, -2, -3, -4]
        assert beta.tolist() == pytest.approx([*before, 0.5, 2.0, 0.1, 0.1])


def test_the_gradient_is_that_of_the_published_loss(model, rows, options):
    """-2 / beta log sigmoid(beta (log p - log p_ref)), differentiated as it stands."""
    from ballast.training import packing, per_example

    torch.manual_seed(0)
    lora = fit.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, r=4, target_modules=["q_proj"])
    network = fit.get_peft_model(backend.load_model(model), lora)
    tokenizer = backend.load_tokenizer(model)
    examples = fit.encode(tokenizer, rows, options)
    known = reference(model, rows, options).logprobs
    for example in examples:
        example["reference"], example["beta"] = constrained_sft._constraint(
            example, rows["id"][example["row"]], known, CONSTRAINED
        )
    if options["packing"]:
        packing.prepare(network)
    collate = packing.collator() if options["packing"] else fit.Collator(tokenizer)
    batch = constrained_sft.Collator(collate)(examples)
    reference_, beta = batch.pop("reference"), batch.pop("beta")
    learnt = list(per_example.weights(network).values())
    losses = per_example.token_losses(network, batch)
    published = (-2 / beta * torch.nn.functional.logsigmoid(beta * (-losses - reference_))).sum()
    wanted = torch.autograd.grad(published, learnt, retain_graph=True)
    ours = (losses * constrained_sft.weights(-losses.detach(), reference_, beta)).sum()
    for one, other in zip(torch.autograd.grad(ours, learnt), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert max(float(each.abs().max()) for each in wanted) > 1e-3


def test_missing_or_misaligned_log_probabilities_are_refused(model, rows, tmp_path):
    options = CONSTRAINED | RESPONSES
    known = reference(model, rows, RESPONSES).logprobs

    def run(features, **other):
        constrained_sft.train(model, rows, options | other, 0, tmp_path, features=features)

    with pytest.raises(BallastError, match="it needs the features logprobs and base-logprobs"):
        run(None)
    with pytest.raises(BallastError, match="row c has no reference log-probabilities"):
        run(SimpleNamespace(logprobs=known.drop("c")))
    with pytest.raises(BallastError, match="row a has 2 reference log-probabilities and 1 tokens to learn"):
        run(
            SimpleNamespace(logprobs=known),
            max_length=fit.encode(backend.load_tokenizer(model), rows, RESPONSES)[0]["prompt"] + 1,
        )
    with pytest.raises(BallastError, match="beta_first -1.0.*none may be negative"):
        run(SimpleNamespace(logprobs=known), beta_first=-1.0)
