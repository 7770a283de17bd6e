"""Keep safety rows apart from the task: train on the base rows, and draw safety rows in separate batches.

A batch depends on its number and the seed alone, so a stopped run continues with the same rows.
"""

from collections.abc import Iterator

import numpy as np
import torch

from ballast.training.fit import Variant


def places(count: int, size: int, number: int, seed: int) -> list[int]:
    """Return the rows of one batch out of endless passes over `count` rows, each pass in a new order."""
    wanted = range(number * size, (number + 1) * size)
    orders = {turn: np.random.default_rng([seed, turn]).permutation(count) for turn in {at // count for at in wanted}}
    return [int(orders[at // count][at % count]) for at in wanted]


class Apart(Variant):
    """Train on the base rows; `safety` holds the examples of all other rows, in the order of the rows."""

    def begin(self, rows, examples, options, seed, features) -> None:
        is_task = (rows["origin"] == "base").to_numpy()
        self.train_dataset = [example for example in examples if is_task[example["row"]]]
        self.safety = [example for example in examples if not is_task[example["row"]]]
        self.options, self.seed = options, seed

    def safety_batch(self, number: int, size: int) -> list[dict]:
        """Return `size` safety examples; some repeat if there are fewer."""
        return [self.safety[place] for place in places(len(self.safety), size, number, self.seed)]

    def learnt(self) -> Iterator[tuple[str, torch.nn.Parameter]]:
        """Return the trained parameters, by name."""
        network = self.accelerator.unwrap_model(self.model)
        return ((name, parameter) for name, parameter in network.named_parameters() if parameter.requires_grad)

    def gradient_scale(self) -> float:
        """Return the factor on gradients before the optimiser's step: 1 except in float16."""
        return self.accelerator.scaler.get_scale() if self.accelerator.scaler else 1.0
