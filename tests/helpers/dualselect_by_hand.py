"""DualSelect as its publication writes it, one row at a time: what the trainer must choose and learn."""

import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from transformers import get_linear_schedule_with_warmup, set_seed

from ballast.asking.loading import load_model, load_tokenizer
from ballast.training import fit


def table(log: dict, kind: str) -> pd.DataFrame:
    found = pd.DataFrame(log["selection"])
    return found[found["kind"] == kind].drop(columns="kind").reset_index(drop=True)


def by_hand(model: str, rows: pd.DataFrame, options: dict, log: dict) -> tuple[list, dict[str, torch.Tensor]]:
    """What one row at a time, autograd and lists choose on the log's own batches, and the adapter then."""
    set_seed(0)
    network = get_peft_model(load_model(model), LoraConfig(task_type="CAUSAL_LM", **options["lora"]))
    learnt = [parameter for parameter in network.parameters() if parameter.requires_grad]
    examples = fit.encode(load_tokenizer(model), rows, options)
    examples = {row_id: example for row_id, example in zip(rows["id"], examples, strict=True)}
    optimiser = torch.optim.AdamW(learnt, lr=options["learning_rate"], weight_decay=0.0)
    schedule = get_linear_schedule_with_warmup(optimiser, options["warmup_steps"], 9)

    def gradient(row_id: str) -> tuple[float, torch.Tensor, int]:
        ids, labels = (torch.tensor([examples[row_id][key]]) for key in ("input_ids", "labels"))
        loss = network(ids, labels=labels).loss
        flat = torch.cat([value.flatten() for value in torch.autograd.grad(loss, learnt)])
        return loss.item(), flat, int((labels[:, 1:] != fit.IGNORED).sum())

    def cosine(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(one.double() @ other.double() / one.double().norm() / other.double().norm())

    task = table(log, "task")
    warm_up = [list(batch) for batch in log["warm_up_batches"]]
    batches = warm_up + [list(batch["id"]) for _, batch in task.groupby("step", sort=True)]
    pool = rows.loc[rows["origin"] == "pool", "id"]
    chosen, seen, reference = [], [], None
    for step, batch in enumerate(batches):
        if step >= options["warm_up"] and (reference is None or step % 3 == 0):
            direction = torch.stack(seen).mean(dim=0)
            found = {row_id: gradient(row_id) for row_id in pool}
            scores = {row_id: loss - cosine(flat, direction) for row_id, (loss, flat, _) in found.items()}
            best = sorted(scores, key=lambda row_id: (-scores[row_id], row_id))[: options["n"]]
            reference = torch.stack([found[row_id][1] for row_id in best]).mean(dim=0)
            chosen.append((step, set(best)))
            seen = []
        found = {row_id: gradient(row_id) for row_id in batch}
        kept = batch
        if reference is not None:
            scores = {row_id: loss - cosine(flat, reference) for row_id, (loss, flat, _) in found.items()}
            kept, tokens = [], 0
            for row_id in sorted(batch, key=lambda row_id: (scores[row_id], row_id)):
                if tokens < options["budget"] * sum(count for *_, count in found.values()):
                    kept.append(row_id)
                    tokens += found[row_id][2]
            chosen.append((step, set(kept)))
        update = sum(found[row_id][1] * found[row_id][2] for row_id in kept) / sum(found[key][2] for key in kept)
        seen.append(update)
        if reference is not None and options["correction"] == "additive":
            update = update + options["rho"] * reference
        if reference is not None and options["correction"] == "projection":
            update = update - min(0, update @ reference) / (reference @ reference) * reference
        for parameter, part in zip(learnt, update.split([value.numel() for value in learnt]), strict=True):
            parameter.grad = part.view_as(parameter)
        torch.nn.utils.clip_grad_norm_(learnt, options["max_grad_norm"])
        optimiser.step()
        schedule.step()
    named = {name: value for name, value in network.named_parameters() if value.requires_grad}
    return chosen, {name.replace(".default", ""): value.detach() for name, value in named.items()}
