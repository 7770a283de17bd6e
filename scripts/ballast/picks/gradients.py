"""Read and write gradients of single rows at a warmed-up adapter: an Arrow file that is mapped into memory.

The file has, per row, the mean loss per token of the response, the exact norm of that loss's gradient in the
adapter's weights, and the projected gradient (`projection.py`) divided by that norm. The division lets float16 hold
gradients that differ by orders of magnitude. A row without a token to learn has no loss, norm 0 and a zero
gradient.

A row's conflict with the task is -cos(its gradient, the task's mean gradient): 1 if a step on the task undoes a step on
the row. Its loss increase is its loss at the warmed-up point minus its loss under the model before the warm-up.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ballast.files import BallastError
from ballast.picks import vectors
from ballast.picks.vectors import BATCH, IDS, Vectors, positions

COLUMNS = ["id", "loss", "norm", "gradient"]


class Gradients(Vectors):
    """Projected unit gradients of rows, their norms, and their losses in nats per token, NaN for none."""

    def __init__(self, ids: Iterable[str], matrices: list[np.ndarray], name: str, losses, norms):
        super().__init__(ids, matrices, name)
        self.losses, self.norms = np.asarray(losses, float), np.asarray(norms, float)

    def learnt(self, ids: Iterable[str]) -> np.ndarray:
        """Return the row numbers, ascending, of the ids with a gradient; the others teach nothing."""
        rows = np.sort(self.find(ids))
        return rows[self.norms[rows] > 0]

    def mean(self, rows: np.ndarray | None = None, unit: bool = False) -> np.ndarray:
        """Return the mean gradient of `rows` (default: all), projected, float64; `unit`: that of unit gradients.

        Raises BallastError if no row has a gradient.
        """
        rows = np.arange(len(self)) if rows is None else np.sort(rows)
        rows = rows[self.norms[rows] > 0]
        if not len(rows):
            raise BallastError(f"{self.name}: no row has a gradient; raise training.max_length and run again")
        total = np.zeros(self.dimensions)
        for part, block, lengths in self.blocks(rows):
            total += (1 / lengths if unit else self.norms[rows[part]]) @ block
        return total / len(rows)

    def cosines(self, rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return the cosine of each row's gradient and a direction, both projected, float64. `rows` are `learnt`.

        The projection moves a cosine by about 1 / sqrt(dimensions).
        """
        return self.along(rows, direction / np.sqrt(np.vecdot(direction, direction)))

    def along(self, rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Return each row's unit gradient times a direction: the mean cosine, if that is a mean of unit gradients."""
        found = np.empty(len(rows))
        for part, block, lengths in self.blocks(rows):
            found[part] = np.vecdot(block, direction) / lengths
        return found


def conflicts(gradients: Gradients, rows: np.ndarray, task: np.ndarray) -> np.ndarray:
    """Return the conflict, -1 to 1, of each of `rows` (`learnt`) with the task's projected direction."""
    return -gradients.cosines(rows, task)


def increases(gradients: Gradients, rows: np.ndarray, logprobs: pd.Series) -> np.ndarray:
    """Return the nats per token by which fine-tuning on the task raises each row's loss."""
    known = logprobs.to_numpy()[positions(logprobs.index, gradients.names(rows), "logprobs")]
    return gradients.losses[rows] + np.array([each.mean(dtype=np.float64) for each in known])


def standardised(values: np.ndarray) -> np.ndarray:
    """Return values minus their mean, divided by their standard deviation; zeros if all are equal."""
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros(len(values))


def in_memory(ids: Iterable[str], losses, norms, matrix: np.ndarray) -> Gradients:
    """Return the gradients of arrays; `matrix` holds unit gradients as floats, rows x dimensions."""
    return Gradients(ids, [matrix], "gradients", losses, norms)


def read(path: str | Path) -> Gradients:
    """Map a file of gradients into memory; raise BallastError if it is torn or holds other data."""
    table = vectors.read_table(path)
    types = table.schema.types
    if (
        table.column_names != COLUMNS
        or types[:-1] != [IDS, pa.float32(), pa.float32()]
        or not vectors.is_half(types[-1])
    ):
        raise BallastError(f"{path}: not a file of gradients, which has columns {', '.join(COLUMNS)}; delete it")
    return Gradients(*vectors.columns(path, table), str(path), table["loss"].to_numpy(), table["norm"].to_numpy())


def write(path: str | Path, parts: Iterable[tuple[list[str], np.ndarray, np.ndarray, np.ndarray]]) -> int:
    """Write parts of ids, losses (NaN for none), norms and projected gradients; return the number of rows.

    Only one part is in memory at a time. Raises BallastError if a gradient is not finite or there is none.
    """
    return vectors.write_batches(
        path,
        (
            _batch(path, *(each[begin : begin + BATCH] for each in part))
            for part in parts
            for begin in range(0, len(part[0]), BATCH)
        ),
    )


def _batch(path: str | Path, ids: list[str], losses: np.ndarray, norms: np.ndarray, matrix: np.ndarray):
    norms = np.asarray(norms, np.float32)
    learnt = norms != 0
    stored = np.zeros(matrix.shape, np.float16)
    stored[learnt] = matrix[learnt] / norms[learnt, None]
    wrong = vectors.unusable(stored[learnt])
    if wrong:
        row = ids[int(np.flatnonzero(learnt)[wrong[0]])]
        raise BallastError(f"{path}: the gradient of row {row} {wrong[1]}; check training.dtype")
    losses = pa.array(np.asarray(losses, np.float32), from_pandas=True)
    return pa.record_batch([pa.array(ids, IDS), losses, pa.array(norms), vectors.lists_of(stored)], names=COLUMNS)
