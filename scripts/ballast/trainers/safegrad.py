"""safegrad: removes the part of the task gradient that opposes the alignment gradient (Yi et al., arXiv 2508.07172).

In each step g_t is the gradient of the base rows' loss and g_a that of KL(aligned || trained) over the tokens of safety
rows' responses; the aligned model is the base model without the adapter. If <g_t, g_a> < 0, over all trained weights
together, g_t becomes g_t - <g_t, g_a> / ||g_a||^2 g_a; then gradients are clipped as usual. `alignment: ce` uses the
plain loss of the safety rows instead of the KL, the variant that the publication compares with.

The safety rows have no other effect. g_a costs a backward pass and, for the KL, one more forward pass on
`alignment_rows` rows; it has no dropout, so a run without any conflict equals plain training on the base rows, to the
byte. The publication describes how to resolve a conflict, and its code is no longer available: adding g_a as well is an
option here (`rho`), off by default.
"""

from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from ballast.files import BallastError, read_json, write_json
from ballast.training import fit
from ballast.training.apart import Apart
from ballast.training.packing import IGNORED
from ballast.training.per_example import without_dropout

OPTIONS = {
    "alignment": (("kl", "ce"), "Alignment gradient: of the KL from the aligned model, or of the safety rows' loss."),
    "alignment_rows": (16, "Safety rows that a step's alignment gradient is taken of."),
    "rho": (0.0, "Weight of the alignment gradient that is added after the projection."),
}
MEMORY = "safegrad.json"


def train(model, rows, options, seed, out, partial=None, features=None) -> dict:
    """Train as sft.train; raise BallastError without safety rows, or if the KL meets trained biases."""
    if options["alignment_rows"] < 1 or options["rho"] < 0:
        raise BallastError(
            f"trainer safegrad: alignment_rows {options['alignment_rows']}, rho {options['rho']}; "
            "at least one row and no negative weight are wanted"
        )
    if options["alignment"] == "kl" and options["lora"].get("bias", "none") != "none":
        raise BallastError(
            "trainer safegrad: without its adapter a model with trained biases is not the aligned one; set "
            "training.lora.bias: none, or alignment: ce"
        )
    return fit.fit(model, rows, options, seed, out, partial, features, SafeGrad)


class SafeGrad(Apart):
    def begin(self, rows, examples, options, seed, features) -> None:
        super().begin(rows, examples, options, seed, features)
        if not self.safety:
            raise BallastError(
                "trainer safegrad: no safety rows to align with; give the method a sampler and n above 0"
            )
        self.cosines = []

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.accelerator.sync_gradients:
            self.correct(model)
        return loss

    def correct(self, model) -> None:
        """Change the step's gradients, after its last micro-batch."""
        parameters = [parameter for _, parameter in self.learnt()]
        task, aligned = [parameter.grad for parameter in parameters], self.alignment_gradient(model, parameters)
        inner, square, own = _dot(task, aligned), _dot(aligned, aligned), _dot(task, task)
        self.cosines.append(inner / (square * own) ** 0.5 if square * own else 0.0)
        weight = (-inner / square if inner < 0 else 0.0) + self.options["rho"] * self.gradient_scale()
        if weight:
            torch._foreach_add_(task, aligned, alpha=weight)

    def alignment_gradient(self, model, parameters: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the gradient of the mean loss over this step's safety tokens, one micro-batch at a time."""
        size, micro = min(self.options["alignment_rows"], len(self.safety)), self.args.per_device_train_batch_size
        examples = self.safety_batch(self.state.global_step, size)
        tokens = sum(label != IGNORED for example in examples for label in example["labels"][1:])
        total = [torch.zeros_like(parameter) for parameter in parameters]
        for at in range(0, size, micro):
            batch = self._prepare_inputs(self.data_collator(examples[at : at + micro]))
            loss = self.alignment_loss(model, batch) / tokens
            torch._foreach_add_(total, torch.autograd.grad(loss, parameters))
        return total

    def alignment_loss(self, model, batch: dict) -> torch.Tensor:
        """Return a value with the gradient of the alignment loss, summed over the learnt tokens of a batch."""
        targets = batch.pop("labels")[:, 1:]
        learnt = targets != IGNORED

        def logits() -> torch.Tensor:
            return model(**batch).logits[:, :-1][learnt].float()

        with without_dropout(model):
            if self.options["alignment"] == "ce":
                return cross_entropy(logits(), targets[learnt], reduction="sum")
            with torch.no_grad(), self.accelerator.unwrap_model(model).disable_adapter():
                wanted = logits().softmax(dim=-1)
            found = logits()
            # The KL's gradient by logits is exactly zero if the models agree: no rounding to project on.
            return ((found.detach().softmax(dim=-1) - wanted) * found).sum()

    def measured(self) -> dict:
        """Return the number of steps in which the gradients conflicted, and their mean cosine."""
        conflicts = sum(cosine < 0 for cosine in self.cosines)
        return {"conflicts": conflicts, "mean_cosine": sum(self.cosines) / len(self.cosines)}

    def save(self, folder: Path) -> None:
        write_json(folder / MEMORY, self.cosines)

    def load(self, folder: Path) -> None:
        self.cosines = read_json(folder / MEMORY)


def _dot(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """Return the inner product over all weights, in float64."""
    return float(sum((a.double() * b.double()).sum() for a, b in zip(one, other, strict=True)))
