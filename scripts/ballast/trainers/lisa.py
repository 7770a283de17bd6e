"""lisa: Lazy Safety Alignment alternates steps on safety rows and steps on the task (Huang et al., arXiv 2405.18641).

It takes K1 steps on safety rows, then K2 steps on base rows, and so on. Both states add rho / 2 ||w - w_switch||^2 to
the loss, where w_switch are the trained weights when the state began, so neither drifts away from the other. The number
of steps is that of plain training on the base rows: a step on safety rows replaces one on the task.

Differences from the authors' code (git-disl/Lisa): the proximal term acts from the first step, as in the paper's
algorithm, not after a tenth of them; its gradient is added once per step. The logged losses exclude it. Without safety
rows there is only the task's state; with rho 0 that is plain training.
"""

from pathlib import Path

from safetensors.torch import load_file, save_file

from ballast.files import BallastError
from ballast.training import fit
from ballast.training.apart import Apart

OPTIONS = {
    "alignment_steps": (100, "Lisa's K1: steps on safety rows in a row."),
    "task_steps": (900, "Lisa's K2: steps on base rows in a row."),
    "rho": (1.0, "Weight of the proximal term, half the squared distance from the weights at the last switch."),
}
ANCHOR = "lisa.safetensors"


def train(model, rows, options, seed, out, partial=None, features=None) -> dict:
    """Train as sft.train; raise BallastError if an option is negative or no step is left for the task."""
    if min(options[name] for name in OPTIONS) < 0 or not options["alignment_steps"] + options["task_steps"]:
        said = ", ".join(f"{name} {options[name]}" for name in OPTIONS)
        raise BallastError(f"trainer lisa: {said}; none may be negative, nor both numbers of steps 0")
    return fit.fit(model, rows, options, seed, out, partial, features, Lisa)


class Lisa(Apart):
    def begin(self, rows, examples, options, seed, features) -> None:
        super().begin(rows, examples, options, seed, features)
        self.align = options["alignment_steps"] if self.safety else 0
        self.cycle = self.align + options["task_steps"] or 1

    def get_batch_samples(self, epoch_iterator, num_batches, device):
        """Return a step's micro-batches and number of learnt tokens; a step on safety rows replaces the task's."""
        batches, tokens = super().get_batch_samples(epoch_iterator, num_batches, device)
        step = self.state.global_step
        if self.align >= self.state.max_steps:
            raise BallastError(
                f"trainer lisa: alignment_steps {self.align} leave none of {self.state.max_steps} steps to the task; "
                "lower alignment_steps and task_steps together"
            )
        if step == 0 or (0 < self.align < self.cycle and step % self.cycle in (0, self.align)):
            self.anchor = {name: parameter.detach().clone() for name, parameter in self.learnt()}
        if step % self.cycle < self.align:
            micro, number = self.options["per_device_train_batch_size"], self.aligned(step)
            examples = self.safety_batch(number, self.options["batch_size"])[: micro * len(batches)]
            batches = [self.data_collator(examples[at : at + micro]) for at in range(0, len(examples), micro)]
            tokens = self._get_num_items_in_batch(batches, device)
        return batches, tokens

    def training_step(self, model, inputs, num_items_in_batch=None):
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.options["rho"] and self.accelerator.sync_gradients:
            self.draw_back()
        return loss

    def draw_back(self) -> None:
        """Add the proximal term's gradient to a step's gradients, after its last micro-batch."""
        weight = self.options["rho"] * self.gradient_scale()
        for name, parameter in self.learnt():
            parameter.grad.add_(parameter.detach() - self.anchor[name], alpha=weight)

    def aligned(self, steps: int) -> int:
        """Return the number of steps on safety rows among the first `steps`."""
        return steps // self.cycle * self.align + min(steps % self.cycle, self.align)

    def measured(self) -> dict:
        return {"alignment_steps": self.aligned(self.state.global_step)}

    def save(self, folder: Path) -> None:
        save_file(self.anchor, folder / ANCHOR)

    def load(self, folder: Path) -> None:
        self.anchor = load_file(folder / ANCHOR, device=str(self.args.device))
