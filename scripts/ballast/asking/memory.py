"""Name the config key to lower, in one line, if the GPU's memory is full."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ballast.files import BallastError


@contextmanager
def enough(advice: str) -> Iterator[None]:
    """Turn the GPU's out-of-memory error in this block into a BallastError that ends in `advice`."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        said = (str(error).splitlines() or [""])[0].split(". GPU ")[0]  # without the allocator's own statistics
        raise BallastError(f"the GPU's memory is full ({said}); {advice}") from error


def lower(key: str, value: int, remark: str = "") -> str:
    """Return advice to lower `key`, whose value is `value`."""
    if value == 1:
        return f"{key} is 1 already: take a GPU with more memory"
    return f"set {key} below {value}{remark}, or take a GPU with more memory"
