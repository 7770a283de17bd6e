"""Compute one LoRA gradient per row from one backward pass per batch; the rows' gradients do not mix.

For a linear layer y = W x the gradient of row i is the sum over its tokens t of delta_t x_t^T, where delta is the
gradient of y. A hook keeps x in the forward pass and gets delta in the backward pass. LoRA's A and B are such layers:
for y = s B (A x), dB_i = s sum_t delta_t (A x_t)^T and dA_i = s sum_t (B^T delta_t) x_t^T. The rows' gradients of one
weight exist only while `use` reads them: dot products, norms and projections never need all at once.

A batch is padded (`fit.Collator`) or packed (`packing.collator`, after `packing.prepare`). A row's loss is the
mean over the tokens that it learns; its gradient is that of this mean. Dropout is off.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch.nn.functional import cross_entropy

from ballast.files import BallastError
from ballast.training import packing

# Called once per weight, with its name and its gradients [rows, *shape].
Use = Callable[[str, torch.Tensor], None]


def rows_pass(network, batch: dict, use: Use) -> torch.Tensor:
    """Return each row's loss [rows]; `use` gets the rows' gradients of one weight at a time, last layer first."""
    with without_dropout(network), watching(network, batch, use):
        losses = row_losses(network, batch)
        torch.autograd.grad(losses.sum(), list(weights(network).values()))
    return losses.detach()


def rows_scores(network, batch: dict, direction: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return `loss`, and `dot` (with the direction, by weight) and `norm` of each row's gradient, [rows] each."""
    scores = Scores(direction)
    losses = rows_pass(network, batch, scores.add)
    return {"loss": losses, "dot": scores.dot, "norm": scores.norm()}


class Scores:
    """Sum dot products with a direction, and squared norms, of rows' gradients over the weights as they come."""

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
    """Return the sum of the rows' gradients times their shares [rows], by weight: one plain backward pass."""
    named = weights(network)
    with without_dropout(network):
        total = (row_losses(network, batch) * shares).sum()
        return dict(zip(named, torch.autograd.grad(total, list(named.values())), strict=True))


def weights(network) -> dict[str, torch.nn.Parameter]:
    """Return the learnt weights, by name; raise BallastError if one is not a linear layer's."""
    named = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    if len({parameter.device for parameter in named.values()}) > 1:
        raise BallastError("training.gpus: gradients per row are computed on one GPU; set 1, or leave it out")
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
    """Give `use` the rows' gradients of each backward pass over this batch inside the block, also training's own.

    They have the scale of the loss: if the loss is a sum over rows, each row gets the gradient of its own term.
    """
    rows = Rows(batch)
    hooks = []
    for name in weights(network):

        def meet(_, inputs, output, name=name):
            if output.requires_grad:  # checkpointing repeats this forward pass, so it has no backward
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
    """Return each row's mean loss over its learnt tokens [rows], with its graph; 0 for a row that learns none."""
    return Rows(batch).means(token_losses(network, batch), batch["labels"])


def token_losses(network, batch: dict) -> torch.Tensor:
    """Return the loss of each learnt token [tokens], in the order of the rows, with its graph."""
    labels = batch["labels"]
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    plain = packing.plain(network)
    if plain.config._attn_implementation == packing.NAME and packing.has_plain_head(plain):
        hidden = plain.get_decoder()(**inputs).last_hidden_state
        return packing.token_losses(hidden, plain.get_output_embeddings().weight, labels)
    return logit_losses(network(**inputs).logits, labels)


def logit_losses(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the loss of each learnt token [tokens], in the order of the rows."""
    targets = labels[:, 1:]
    learnt = targets != packing.IGNORED
    logits = logits[:, :-1][learnt]
    exact = torch.promote_types(logits.dtype, torch.float32)
    return cross_entropy(logits.to(exact), targets[learnt], reduction="none")


class Rows:
    """The layout of a batch: one padded line per row, or all rows end to end in one packed row."""

    def __init__(self, batch: dict):
        bounds = batch.get("cu_seq_lens_q")
        self.index = None
        if bounds is not None:
            lengths = bounds.diff().unsqueeze(1)
            steps = torch.arange(int(lengths.max()), device=bounds.device)
            self.inside = steps < lengths
            self.index = (bounds[:-1].unsqueeze(1) + steps) * self.inside

    def apart(self, values: torch.Tensor) -> torch.Tensor:
        """Reshape a packed [1, tokens, size] to [rows, longest, size], 0 after a row's end; keep padded input."""
        if self.index is None:
            return values
        return values[0][self.index] * self.inside.unsqueeze(2)

    def gradients(self, delta: torch.Tensor, given: torch.Tensor) -> torch.Tensor:
        """Return a linear layer's gradient per row, [rows, outputs, inputs], at least in float32."""
        exact = torch.promote_types(delta.dtype, torch.float32)
        return self.apart(delta).to(exact).transpose(1, 2) @ self.apart(given).to(exact)

    def means(self, losses: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return each row's mean loss [rows] from the losses of the learnt tokens, in order."""
        learnt = torch.zeros_like(labels, dtype=torch.bool)
        learnt[:, 1:] = labels[:, 1:] != packing.IGNORED
        each = losses.new_zeros(labels.numel()).index_copy(0, learnt.flatten().nonzero().squeeze(1), losses)
        sums = self.apart(each.view(*labels.shape, 1)).sum(dim=(1, 2))
        return sums / self.counts(labels).clamp(min=1)

    def counts(self, labels: torch.Tensor) -> torch.Tensor:
        """Return the number of tokens that each row learns [rows]; a row's first token is never predicted."""
        learnt = (labels[:, 1:] != packing.IGNORED).long()
        shifted = torch.cat([torch.zeros_like(learnt[:, :1]), learnt], dim=1)
        return self.apart(shifted.unsqueeze(2)).sum(dim=(1, 2))


def batches(examples: list[dict], size: int, collate: Callable[[list[dict]], dict], device) -> Iterator[tuple]:
    """Yield (positions in `examples`, batch on the device) of rows of similar length; the rows' order changes nothing.

    The longest come first, so the first batch takes the peak of memory and every later batch fits into it.
    """
    order = sorted(range(len(examples)), key=lambda at: (-len(examples[at]["input_ids"]), examples[at]["input_ids"]))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        batch = collate([{key: examples[at][key] for key in ("input_ids", "labels")} for at in chosen])
        yield chosen, {name: value.to(device) if torch.is_tensor(value) else value for name, value in batch.items()}
