"""The GPU's memory: where it is full, one line says which key of the config to lower."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ballast.files import BallastError


@contextmanager
def enough(advice: str) -> Iterator[None]:
    """Make of the GPU's out-of-memory error in this block a BallastError that ends in `advice`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        said = (str(error).splitlines() or [""])[0].split(". GPU ")[0]  # without the allocator's own statistics
        raise BallastError(f"the GPU's memory is full ({said}); {advice}") from error


def lower(key: str, value: int, remark: str = "") -> str:
    """Advice to lower `key`, which is `value`."""
    if value == 1:
        return f"{key} is 1 already: take a GPU with more memory"
    return f"set {key} below {value}{remark}, or take a GPU with more memory"
