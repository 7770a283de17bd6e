"""One gradient per row from one backward pass: the rows of a batch share the pass, their LoRA gradients do not mix.

For a linear layer y = W x the gradient of row i is the sum over its tokens t of delta_t x_t^T, where delta is the
gradient of y: a hook keeps x on the way forward and meets delta on the way back. LoRA's A and B are such layers, so
for y = s B (A x) this is dB_i = s sum_t delta_t (A x_t)^T and dA_i = s sum_t (B^T delta_t) x_t^T. The rows' gradients
of one weight exist only while `use` looks at them: dot products, norms and projections never need them all at once.

A batch is padded (`fit.Collator`) or packed (`packing.collator`, after `packing.prepare`). A row's loss is the
mean over the tokens that it learns; its gradient is that of this mean. There is no dropout in any of it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import cross_entropy

from ballast.files import BallastError
from ballast.training import packing

# Called once for each weight: its name, and its gradients [rows, *shape].
Use = Callable[[str, torch.Tensor], None]


def rows_pass(network, batch: dict, use: Use) -> torch.Tensor:
    """Each row's loss [rows]; `use` gets the rows' gradients of one weight at a time, the last layer's first."""
    with without_dropout(network), watching(network, batch, use):
        losses = row_losses(network, batch)
        torch.autograd.grad(losses.sum(), list(weights(network).values()))
    return losses.detach()


def rows_scores(network, batch: dict, direction: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """`loss`, `dot` (with the direction, by weight) and `norm` of each row's gradient, [rows] each."""
    scores = Scores(direction)
    losses = rows_pass(network, batch, scores.add)
    return {"loss": losses, "dot": scores.dot, "norm": scores.norm()}


class Scores:
    """Dot products with a direction and norms of rows' gradients, summed over the weights as they come."""

    def __init__(self, direction: dict[str, torch.Tensor]):
        self.direction = direction
        self.dot = self.squares = 0

    def add(self, name: str, gradient: torch.Tensor) -> None:
        flat = gradient.flatten(1)
        self.dot = self.dot + flat @ self.direction[name].flatten().to(flat)
        self.squares = self.squares + flat.square().sum(dim=1)

    def norm(self) -> torch.Tensor:
        return self.squares.sqrt()


def summed_gradient(network, batch: dict, shares: torch.Tensor) -> dict[str, torch.Tensor]:
    """The sum of the rows' gradients times their shares [rows], by weight: one plain backward pass."""
    named = weights(network)
    with without_dropout(network):
        total = (row_losses(network, batch) * shares).sum()
        return dict(zip(named, torch.autograd.grad(total, list(named.values())), strict=True))


def weights(network) -> dict[str, torch.nn.Parameter]:
    """The weights that are learnt, by name; BallastError where one is not a linear layer's."""
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    for name in named:
        layer, _, kind = name.rpartition(".")
        if kind != "weight" or type(network.get_submodule(layer)) is not torch.nn.Linear:
            raise BallastError(
                f"training.lora: {name} is learnt and is not the weight of a linear layer, so it has no gradient per "
                "row; adapt linear layers only, with bias: none"
            )
    return named


@contextmanager
def watching(network, batch: dict, use: Use) -> Iterator[None]:
    """Whatever backward pass over this batch runs in this block, also training's own, `use` sees the rows' gradients.

    Their scale is that of the loss: a loss that is a sum over rows gives each row the gradient of its own term.
    """
    rows = Rows(batch)
    hooks = []
    for name in weights(network):

        def meet(_, inputs, output, name=name):
            if output.requires_grad:  # a forward pass that checkpointing will repeat has no way back
                given = inputs[0].detach()
                output.register_hook(lambda delta: use(name, rows.gradients(delta, given)))

        hooks.append(network.get_submodule(name.removesuffix(".weight")).register_forward_hook(meet))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def without_dropout(network) -> Iterator[None]:
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


def row_losses(network, batch: dict) -> torch.Tensor:
    """Each row's mean loss over the tokens that it learns [rows], with its graph; 0 for a row that learns none."""
    return Rows(batch).means(token_losses(network, batch), batch["labels"])


def token_losses(network, batch: dict) -> torch.Tensor:
    """The loss of each learnt token [tokens], in the order of the rows, with its graph."""
    labels = batch["labels"]
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    plain = packing.plain(network)
    if plain.config._attn_implementation == packing.NAME and packing.has_plain_head(plain):
        hidden = plain.get_decoder()(**inputs).last_hidden_state
        return packing.token_losses(hidden, plain.get_output_embeddings().weight, labels)
    return logit_losses(network(**inputs).logits, labels)


def logit_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The loss of each learnt token [tokens], in the order of the rows."""
    targets = labels[:, 1:]
    learnt = targets != packing.IGNORED
    logits = logits[:, :-1][learnt]
    exact = torch.promote_types(logits.dtype, torch.float32)
    return cross_entropy(logits.to(exact), targets[learnt], reduction="none")


class Rows:
    """Where the rows of a batch stand: below each other with padding, or end to end in one packed row."""

    def __init__(self, batch: dict):
        bounds = batch.get("cu_seq_lens_q")
        self.index = None
        if bounds is not None:
            lengths = bounds.diff().unsqueeze(1)
            steps = torch.arange(int(lengths.max()), device=bounds.device)
            self.inside = steps < lengths
            self.index = (bounds[:-1].unsqueeze(1) + steps) * self.inside

    def apart(self, values: torch.Tensor) -> torch.Tensor:
        """[1, tokens, size] of a packed row as [rows, longest, size], 0 behind a row's end; padded ones as they are."""
        if self.index is None:
            return values
        return values[0][self.index] * self.inside.unsqueeze(2)

    def gradients(self, delta: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """A linear layer's gradient for each row, [rows, outputs, inputs], at least in float32."""
        exact = torch.promote_types(delta.dtype, torch.float32)
        return self.apart(delta).to(exact).transpose(1, 2) @ self.apart(given).to(exact)

    def means(self, losses: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of each row [rows] from those of the learnt tokens in their order."""
        learnt = torch.zeros_like(labels, dtype=torch.bool)
        learnt[:, 1:] = labels[:, 1:] != packing.IGNORED
        each = losses.new_zeros(labels.numel()).index_copy(0, learnt.flatten().nonzero().squeeze(1), losses)
        sums = self.apart(each.view(*labels.shape, 1)).sum(dim=(1, 2))
        return sums / self.counts(labels).clamp(min=1)

    def counts(self, labels: torch.Tensor) -> torch.Tensor:
        """How many tokens each row learns [rows]; the first of a row is never predicted."""
        learnt = (labels[:, 1:] != packing.IGNORED).long()
        shifted = torch.cat([torch.zeros_like(learnt[:, :1]), learnt], dim=1)
        return self.apart(shifted.unsqueeze(2)).sum(dim=(1, 2))


def batches(examples: list[dict], size: int, collate: Callable[[list[dict]], dict], device) -> Iterator[tuple]:
    """(positions in `examples`, batch) of rows of like length, on the device; the same rows in any order, the same.

    The longest come first, so that what memory a pass needs is taken at once and every later batch fits into it.
    """
    order = sorted(range(len(examples)), key=lambda at: (-len(examples[at]["input_ids"]), examples[at]["input_ids"]))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        batch = collate([{key: examples[at][key] for key in ("input_ids", "labels")} for at in chosen])
        yield chosen, {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}
