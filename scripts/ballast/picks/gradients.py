"""Gradients of single rows at a warmed-up adapter: an Arrow IPC file that is mapped, not read.

Of each row its mean loss per token of the response, the exact norm of that loss's gradient in the adapter's weights,
and the projected gradient (`projection.py`) over that norm, in float16, since gradients differ by orders of magnitude
and float16 does not reach over them. A row without a token to learn has no loss, norm 0 and a gradient of zeros.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa

from ballast.files import BallastError, atomic
from ballast.picks.vectors import BATCH, IDS, Vectors, arrow_ids, batches_of, unusable, vectors_of

COLUMNS = ["id", "loss", "norm", "gradient"]


class Gradients:
    """Ids, losses (nats per token), norms and projected unit gradients of rows; losses are NaN where there is none."""

    def __init__(self, vectors: Vectors, losses: np.ndarray, norms: np.ndarray):
        self._vectors, self.losses, self.norms = vectors, losses, norms
        self.ids, self.name, self.dimensions = vectors.ids, vectors.name, vectors.dimensions

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Iterable[str]) -> np.ndarray:
        """The row number of each id; BallastError where one has no gradient in the file."""
        return self._vectors.find(ids)

    def learnt(self, ids: Iterable[str]) -> np.ndarray:
        """The row numbers, rising, of those ids that have a gradient: the others teach nothing."""
        rows = np.sort(self.find(ids))
        return rows[self.norms[rows] > 0]

    def names(self, rows: np.ndarray) -> list[str]:
        return self._vectors.names(rows)

    def mean(self, rows: np.ndarray | None = None, unit: bool = False) -> np.ndarray:
        """The mean gradient of `rows` (of all by default), projected, float64; with `unit` that of unit gradients.

        Raises BallastError where no row has a gradient.
        """
        rows = np.arange(len(self)) if rows is None else np.sort(rows)
        rows = rows[self.norms[rows] > 0]
        if not len(rows):
            raise BallastError(f"{self.name}: no row has a gradient; raise training.max_length and run again")
        total = np.zeros(self.dimensions)
        for part, block, lengths in self._vectors.blocks(rows):
            weights = 1 / lengths.astype(np.float64) if unit else self.norms[rows[part]]
            total += weights @ block.astype(np.float64)
        return total / len(rows)

    def cosines(self, rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The cosine of each row's gradient and a direction, both projected, float64. `rows` rise and are `learnt`.

        Off by about 1 / sqrt(dimensions) from that of the gradients as they are.
        """
        return self.along(rows, direction / np.sqrt(np.vecdot(direction, direction)))

    def along(self, rows: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Each row's unit gradient times a direction; where that is a mean of unit gradients, the mean cosine."""
        found = np.empty(len(rows))
        for part, block, _ in self._vectors.blocks(rows):
            block = block.astype(np.float64)
            found[part] = np.vecdot(block, direction) / np.sqrt(np.vecdot(block, block))
        return found


def in_memory(ids: Iterable[str], losses, norms, matrix: np.ndarray) -> Gradients:
    """Gradients of arrays; `matrix` holds unit gradients as floats, rows x dimensions."""
    vectors = Vectors(arrow_ids(ids), [matrix], "gradients")
    return Gradients(vectors, np.asarray(losses, float), np.asarray(norms, float))


def read(path: str | Path) -> Gradients:
    """Map a file of gradients into memory; BallastError where it is torn or holds something else."""
    batches, schema, mapped = batches_of(path)
    wanted = [IDS, pa.float32(), pa.float32()]
    half = pa.types.is_fixed_size_list(schema.types[-1]) and schema.types[-1].value_type == pa.float16()
    if schema.names != COLUMNS or schema.types[:-1] != wanted or not half:
        raise BallastError(f"{path}: not a file of gradients, which has columns {', '.join(COLUMNS)}; delete it")
    vectors = vectors_of(path, batches, mapped)
    losses, norms = (
        np.concatenate([batch.column(name).to_numpy(zero_copy_only=False) for batch in batches])
        for name in ("loss", "norm")
    )
    return Gradients(vectors, losses.astype(float), norms.astype(float))


def write(path: str | Path, parts: Iterable[tuple[list[str], np.ndarray, np.ndarray, np.ndarray]]) -> int:
    """Write parts of ids, losses (NaN for none), norms and projected gradients as they are; how many rows there were.

    Only one part is in memory at a time. Raises BallastError where a gradient is not finite, and where there is none.
    """
    count = 0
    with atomic(path) as temporary:
        writer = None
        for ids, losses, norms, matrix in parts:
            for begin in range(0, len(ids), BATCH):
                some = slice(begin, begin + BATCH)
                batch = _batch(path, ids[some], losses[some], norms[some], matrix[some])
                writer = writer or pa.ipc.new_file(str(temporary), batch.schema)
                writer.write_batch(batch)
            count += len(ids)
        if writer is None:
            raise BallastError(f"{path}: no rows")
        writer.close()
    return count


def _batch(path: str | Path, ids: list[str], losses: np.ndarray, norms: np.ndarray, matrix: np.ndarray):
    norms = np.asarray(norms, np.float32)
    learnt = norms != 0
    stored = np.zeros(matrix.shape, np.float16)
    stored[learnt] = matrix[learnt] / norms[learnt, None]
    wrong = unusable(stored[learnt]) if learnt.any() else None
    if wrong:
        row = ids[int(np.flatnonzero(learnt)[wrong[0]])]
        raise BallastError(f"{path}: the gradient of row {row} {wrong[1]}; check training.dtype")
    flat = pa.FixedSizeListArray.from_arrays(pa.array(stored.reshape(-1)), stored.shape[1])
    losses = pa.array(np.asarray(losses, np.float32), from_pandas=True)
    return pa.record_batch([pa.array(ids, IDS), losses, pa.array(norms), flat], names=COLUMNS)
