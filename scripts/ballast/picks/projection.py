"""Project per-example gradients with a seeded random matrix: exact in expectation, one pass.

It is a signed count sketch (Charikar, Chen and Farach-Colton, 2002; as a projection Weinberger et al., arXiv
0902.2206): each coordinate goes, with a random sign, to one of `dimensions` sums. For gradients x and y of any size
the projected inner product has expectation <x, y> and a variance of at most 2 |x|^2 |y|^2 / dimensions, as with the
dense Gaussian matrix of LESS (arXiv 2402.04333). Such a matrix, 40 million weights x 8,192, would be too large to hold.

Each block of `dimensions` coordinates is shifted cyclically by a random number. Coordinates of the same block never
collide; those of two blocks do with probability 1 / dimensions. All work is a gather and a sum in a fixed order, so
equal gradients give equal bytes on a GPU too.
"""

import hashlib

import numpy as np
import torch

BLOCKS = 64  # gathered at a time; this bounds the indices in memory


class Projection:
    """The projection of gradients of named weights; each weight's part depends on the seed and its name alone."""

    def __init__(self, dimensions: int, seed: int):
        self.dimensions, self.seed = dimensions, seed
        self._parts: dict[tuple, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, name: str, gradients: torch.Tensor) -> torch.Tensor:
        """Return one weight's part of the projected gradients, float32, rows x dimensions; `gradients`: rows x any."""
        rows, width = gradients.flatten(1), self.dimensions
        signs, shifts = self._part(name, rows.shape[1], rows.device)
        found = rows.new_zeros((len(rows), width), dtype=torch.float32)
        for begin in range(0, len(shifts), BLOCKS):
            some = slice(begin * width, (begin + BLOCKS) * width)
            signed = rows[:, some].float() * signs[some]
            signed = torch.nn.functional.pad(signed, (0, -signed.shape[1] % width)).unflatten(1, (-1, width))
            places = (torch.arange(width, device=rows.device) - shifts[begin : begin + BLOCKS, None]) % width
            found += signed.gather(2, places.expand(len(rows), -1, -1)).sum(dim=1)
        return found

    def _part(self, name: str, size: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw the signs of a weight's coordinates and the shifts of its blocks, on the CPU: equal on all devices."""
        key = (name, size, device)
        if key not in self._parts:
            digest = hashlib.sha256(f"{self.seed}|{name}|{size}".encode()).digest()
            random = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            signs = torch.randint(0, 2, (size,), generator=random, dtype=torch.int8) * 2 - 1
            shifts = torch.randint(0, self.dimensions, (-(-size // self.dimensions),), generator=random)
            self._parts[key] = signs.to(device), shifts.to(device)
        return self._parts[key]


class Sums:
    """Sum projected gradients and exact norms of a batch of rows over the weights as they come."""

    def __init__(self, projection: Projection):
        self._projection, self._projected, self._squares = projection, 0, 0

    def add(self, name: str, gradients: torch.Tensor) -> None:
        """Add one weight's gradients, rows x any shape."""
        self._projected = self._projected + self._projection(name, gradients)
        self._squares = self._squares + gradients.flatten(1).square().sum(dim=1, dtype=torch.float64)

    def norms(self) -> np.ndarray:
        return self._squares.sqrt().cpu().numpy()

    def projected(self) -> np.ndarray:
        return self._projected.cpu().numpy()
