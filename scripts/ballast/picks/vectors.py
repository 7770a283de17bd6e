"""Read and write embedding files: ids and float16 vectors in Arrow, mapped into memory and read by block.

A row's unit embedding is its stored vector divided by that vector's norm, because float16 moves a norm slightly off 1.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ballast.files import BallastError, atomic

BLOCK = 512  # rows converted to float64 at a time
BATCH = 4096  # rows of a record batch
IDS = pa.large_string()


class Vectors:
    """Ids and vectors of rows; `matrices` are the record batches of a file, or a single matrix in memory."""

    def __init__(self, ids: Iterable[str], matrices: list[np.ndarray], name: str):
        self.ids, self.name, self.dimensions = list(ids), name, matrices[0].shape[1]
        self._matrices = matrices
        self._starts = np.cumsum([0, *map(len, matrices)])

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Iterable[str]) -> np.ndarray:
        """Return the row number of each id; raise BallastError if one has no vector."""
        return positions(self.ids, ids, self.name)

    def names(self, rows: np.ndarray) -> list[str]:
        """Return the ids of rows."""
        return [self.ids[row] for row in rows]

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yield slices of `rows` with their vectors and the vectors' norms, both float64.

        Raises BallastError if a vector is zero or not finite.
        """
        for begin in range(0, len(rows), BLOCK):
            part = slice(begin, begin + BLOCK)
            block = self._stored(rows[part]).astype(np.float64)
            norms = np.sqrt(np.vecdot(block, block))
            wrong = unusable(block) if not 0 < norms.min() <= norms.max() < np.inf else None
            if wrong:
                row = self.ids[rows[part][wrong[0]]]
                raise BallastError(f"{self.name}: the embedding of row {row} {wrong[1]}; delete the file and run again")
            yield part, block, norms

    def units(self, rows: np.ndarray) -> np.ndarray:
        """Return unit vectors, float64, rows x dimensions."""
        found = np.empty((len(rows), self.dimensions))
        for part, block, norms in self.blocks(rows):
            found[part] = block / norms[:, None]
        return found

    def _stored(self, rows: np.ndarray) -> np.ndarray:
        number = np.searchsorted(self._starts, rows, side="right") - 1
        found = np.empty((len(rows), self.dimensions), self._matrices[0].dtype)
        for each in np.unique(number):
            here = number == each
            found[here] = self._matrices[each][rows[here] - self._starts[each]]
        return found


def in_memory(ids: Iterable[str], matrix: np.ndarray) -> Vectors:
    """Return the vectors of a matrix of floats, rows x dimensions."""
    return Vectors(ids, [matrix], "embedding")


def read(path: str | Path) -> Vectors:
    """Map an embedding file into memory; raise BallastError if it is torn or holds other data."""
    table = read_table(path)
    kind = table.schema.types[-1] if table.num_columns else None
    if table.column_names != ["id", "embedding"] or table.schema.types[0] != IDS or not is_half(kind):
        wanted = "columns 'id' (large_string) and 'embedding' (fixed_size_list of halffloat)"
        raise BallastError(f"{path}: not an embedding file, which has {wanted}; delete it and run again")
    return Vectors(*columns(path, table), str(path))


def read_table(path: str | Path) -> pa.Table:
    """Map an Arrow file into memory; raise BallastError if it is missing or torn."""
    try:
        return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except FileNotFoundError:
        raise BallastError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        said = (str(error).splitlines() or [""])[0]
        raise BallastError(f"{path}: not a whole Arrow file; delete it and run again ({said})") from None


def is_half(kind: pa.DataType | None) -> bool:
    """Return whether a type holds vectors in float16."""
    return isinstance(kind, pa.FixedSizeListType) and kind.value_type == pa.float16()


def columns(path: str | Path, table: pa.Table) -> tuple[list[str], list[np.ndarray]]:
    """Return the ids, the first column, and the matrices, the last; raise BallastError if a value is missing."""
    ids, lists = table.columns[0], table.columns[-1]
    if not len(table):
        raise BallastError(f"{path}: no rows")
    if ids.null_count or lists.null_count or any(chunk.values.null_count for chunk in lists.chunks):
        raise BallastError(f"{path}: a value is missing; delete the file and run again")
    shape = (-1, lists.type.list_size)
    return ids.to_pylist(), [chunk.flatten().to_numpy().reshape(shape) for chunk in lists.chunks]


def write(path: str | Path, ids: Sequence[str], matrix: np.ndarray) -> None:
    """Write ids and a matrix of floats, stored as float16.

    Raises BallastError if there is no row, or if a vector is zero or too large for float16.
    """
    ids = list(ids)
    parts = (slice(begin, begin + BATCH) for begin in range(0, len(ids), BATCH))
    write_batches(path, (_batch(path, ids[part], matrix[part]) for part in parts))


def write_batches(path: str | Path, batches: Iterable[pa.RecordBatch]) -> int:
    """Write record batches as they come, and return the number of rows; raise BallastError if there is none."""
    count, writer = 0, None
    with atomic(path) as temporary:
        for batch in batches:
            writer = writer or pa.ipc.new_file(str(temporary), batch.schema)
            writer.write_batch(batch)
            count += len(batch)
        if writer is None:
            raise BallastError(f"{path}: no rows")
        writer.close()
    return count


def lists_of(matrix: np.ndarray) -> pa.FixedSizeListArray:
    """Return the rows of a matrix as Arrow lists."""
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.reshape(-1)), matrix.shape[1])


def _batch(path: str | Path, ids: list[str], matrix: np.ndarray) -> pa.RecordBatch:
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(matrix, dtype=np.float16)
    wrong = unusable(stored)
    if wrong:
        raise BallastError(f"{path}: the embedding of row {ids[wrong[0]]} {wrong[1]} in float16")
    return pa.record_batch([pa.array(ids, IDS), lists_of(stored)], names=["id", "embedding"])


def unusable(matrix: np.ndarray) -> tuple[int, str] | None:
    """Return the first row without a direction, and the reason."""
    largest = np.abs(matrix).max(axis=1, initial=0)
    right = np.isfinite(largest) & (largest > 0)
    if right.all():
        return None
    row = int(right.argmin())
    return row, "is zero" if largest[row] == 0 else "is not finite"


def positions(known: Iterable[str], wanted: Iterable[str], name: str) -> np.ndarray:
    """Return the position of each wanted id among the known; raise BallastError if one is missing or repeated."""
    known, wanted = (pd.Index(ids, dtype=object) for ids in (known, wanted))
    if not known.is_unique:
        row = known[known.duplicated()][0]
        raise BallastError(f"{name}: row {row} is there twice; delete the file and run again")
    found = known.get_indexer(wanted)
    if (found < 0).any():
        raise BallastError(f"{name}: row {wanted[found < 0][0]} is missing; delete the file and run again")
    return found
