"""Train every model of the mini world in one small, seeded, full fine-tuning loop."""

import math
import random
from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

Examples = Sequence[tuple[list[int], object]]  # token ids and a target
LossOf = Callable[[nn.Module, Examples], torch.Tensor]


def fit(model: nn.Module, examples: Examples, loss_of: LossOf, seed: int, steps: int, rate: float, batch: int = 32):
    """Train in place for `steps` batches: AdamW (0.9, 0.98), 5 % warm-up, cosine to 0, gradients clipped at 1."""
    order = random.Random(seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _warm_cosine(step, steps))
    model.train()
    batches: list[list[int]] = []
    for _ in range(steps):
        batches = batches or _batches([len(ids) for ids, _ in examples], batch, order)
        loss = loss_of(model, [examples[index] for index in batches.pop()])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval()


def response_loss(model: nn.Module, rows: Examples) -> torch.Tensor:
    """Return the mean cross-entropy of the tokens after each row's prompt; a row's target is its prompt's length."""
    ids, _ = pad([ids for ids, _ in rows])
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    for row, (tokens, start) in enumerate(rows):
        wanted[row, start : len(tokens)] = True
    # Right padding under a causal mask affects no wanted position; only these go through the large output layer.
    hidden = model.model(ids[:, :-1]).last_hidden_state[wanted[:, 1:]]
    return functional.cross_entropy(model.lm_head(hidden), ids[:, 1:][wanted[:, 1:]])


def score_loss(model: nn.Module, rows: Examples) -> torch.Tensor:
    """Return a one-output classifier's mean squared error; a row's target is (score, length of its first segment)."""
    ids, mask = pad([ids for ids, _ in rows])
    starts = torch.tensor([start for _, (_, start) in rows])
    segments = (torch.arange(ids.shape[1]) >= starts[:, None]).long() * mask
    scores = torch.tensor([float(score) for _, (score, _) in rows])
    logits = model(ids, attention_mask=mask, token_type_ids=segments).logits[:, 0]
    return functional.mse_loss(logits, scores)


def pad(sequences: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return right-padded ids and their mask, both (rows, longest)."""
    width = max(len(ids) for ids in sequences)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids in sequences])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in sequences])
    return ids, mask


def _warm_cosine(step: int, steps: int) -> float:
    warm = max(1, round(0.05 * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _batches(lengths: list[int], size: int, order: random.Random) -> list[list[int]]:
    """Return one shuffled epoch; rows are sorted by length inside chunks of 8 batches, so that padding is small."""
    rows = list(range(len(lengths)))
    order.shuffle(rows)
    batches = []
    for start in range(0, len(rows), 8 * size):
        chunk = sorted(rows[start : start + 8 * size], key=lengths.__getitem__)
        batches += [chunk[at : at + size] for at in range(0, len(chunk), size)]
    order.shuffle(batches)
    return batches
