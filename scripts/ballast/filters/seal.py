"""seal: keep base rows that train well together with the safety rows (SEAL, Shen et al., ICLR 2025).

Each base row has a logit; its weight p_i is N softmax(logits)_i, 1 on average. The bilevel problem seeks weights such
that a model trained on the weighted base rows is good on the safety rows. We solve its penalty form with alternating
single-level updates, as in the authors' code (hanshen95/SEAL): a LoRA adapter takes a step on w L_safety + (1 - w)
times the mean of p_i l_i, then the logits take one on that mean with the losses held. w starts at 0.9 and falls by 0.1
per pass. Losses are means over a row's tokens. The score is the logit; the best 80 % are kept.

The adapter's settings are the study's `training`, but always with AdamW. A step has batch_size base rows, and as many
safety rows or all of them. Cost: `selector_epochs` passes over the base rows and as many safety rows.
"""

from collections.abc import Iterator
from contextlib import nullcontext

import pandas as pd
import torch
from transformers import get_scheduler, set_seed

from ballast.asking import memory
from ballast.asking.loading import load_tokenizer
from ballast.files import BallastError
from ballast.training import fit, packing, per_example
from ballast.training.apart import places

NEEDS = ()
SEEDED = True
SAFETY = True
OPTIONS = {
    "keep": (0.8, "Share of the base rows that is kept."),
    "selector_epochs": (3, "Passes over the base rows while the logits are learnt."),
    "selector_learning_rate": (0.01, "Adam's learning rate for the logits."),
    "safety_weight": (0.9, "w in the first pass: the part of the safety rows in the adapter's loss."),
    "safety_weight_decay": (0.1, "Decrease of w per pass."),
}


def score(model, base, safety, features, options, seed) -> pd.Series:
    """Return the logit of each base row; a row without a token to learn gets the lowest of all.

    Raises BallastError without safety rows, or if a loss is not a number.
    """
    if safety is None or safety.empty:
        raise BallastError("filter seal: no safety rows to learn with; give the method a sampler and n above 0")
    set_seed(seed)
    tokenizer, ids = load_tokenizer(model), sorted(base["id"])
    rows, reference = (
        fit.encode(tokenizer, table.sort_values("id", ignore_index=True), options) for table in (base, safety)
    )
    network = fit.with_adapter(fit.base_model(model, options), options)
    if options["packing"]:
        packing.prepare(network)
    collate = packing.collator() if options["packing"] else fit.Collator(tokenizer)
    with memory.enough(fit.lower_batch(options)):
        logits = _learn(network, rows, reference, collate, options, seed)
    found = pd.Series(logits.tolist(), [ids[row["row"]] for row in rows])
    return found.reindex(ids, fill_value=found.min())


def _learn(network, rows: list[dict], reference: list[dict], collate, options: dict, seed: int) -> torch.Tensor:
    """Return the logits [rows] after all steps."""
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    betas = options["adam_beta1"], options["adam_beta2"]
    optimiser = torch.optim.AdamW(learnt, options["learning_rate"], betas, weight_decay=options["weight_decay"])
    size, beside = min(options["batch_size"], len(rows)), min(options["batch_size"], len(reference))
    steps = -(-options["selector_epochs"] * len(rows) // size)
    schedule = get_scheduler(options["lr_scheduler_type"], optimiser, options["warmup_steps"], steps)
    logits = torch.zeros(len(rows), device=network.device, requires_grad=True)
    selector = torch.optim.Adam([logits], options["selector_learning_rate"], (0.9, 0.95))
    network.train()
    for step in range(steps):
        chosen = places(len(rows), size, step, seed)
        safe = places(len(reference), beside, step, seed)
        passed = step * size // len(rows)
        share = max(0.0, options["safety_weight"] - options["safety_weight_decay"] * passed)
        with torch.no_grad():
            each = (1 - share) / size * weights(logits)[chosen]
        losses = _backward(network, [rows[at] for at in chosen], each, collate, options)
        _backward(network, [reference[at] for at in safe], torch.full((beside,), share / beside), collate, options)
        if not losses.isfinite().all():
            raise BallastError(f"filter seal: a loss is not a number at step {step}; lower training.learning_rate")
        torch.nn.utils.clip_grad_norm_(learnt, options["max_grad_norm"])
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        (weights(logits)[chosen] * losses).mean().backward()
        selector.step()
        selector.zero_grad()
    return logits.detach().cpu()


def weights(logits: torch.Tensor) -> torch.Tensor:
    """Return p of each row, 1 on average."""
    return len(logits) * logits.softmax(dim=0)


def _backward(network, examples: list[dict], each: torch.Tensor, collate, options: dict) -> torch.Tensor:
    """Add the gradient of the rows' losses, each times its share, to the present ones; return the losses [examples]."""
    each = each.to(network.device)
    found = torch.empty_like(each)
    for at, batch in _parts(examples, collate, options["per_device_train_batch_size"], network.device):
        with _precision(network, options["dtype"]):
            losses = per_example.row_losses(network, batch)
        (losses * each[at]).sum().backward()
        found[at] = losses.detach().to(found.dtype)
    return found


def _parts(examples: list[dict], collate, size: int, device) -> Iterator[tuple[slice, dict]]:
    for begin in range(0, len(examples), size):
        at = slice(begin, begin + size)
        batch = collate(examples[at])
        yield at, {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}


def _precision(network, dtype: str):
    """Return autocast if weights are in half precision, as in training."""
    return nullcontext() if dtype == "float32" else torch.autocast(network.device.type, getattr(torch, dtype))
