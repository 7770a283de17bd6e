"""Embedding files: ids and float16 vectors in an Arrow file, mapped into memory and read block by block.

A pool of any size is read in bounded memory: pages of the file belong to the system, are asked for ahead of their use
and given back behind it, and one block at a time is float32. A row's unit embedding is its vector as stored over that
vector's norm, since float16 moves a norm a little off 1.
"""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ballast.files import BallastError, atomic

BLOCK = 512  # rows that are float32 at a time: with their matrix products they stay in a core's cache
BATCH = 4096  # rows of a record batch
AHEAD = 8  # record batches that the disk is asked for before they are read
HELD = 2**29  # bytes of a file that may stay in memory as a whole
IDS = pa.large_string()


class Vectors:
    """Ids and embeddings of rows; `matrices` are float16, or wider floats that are in memory anyway."""

    def __init__(self, ids: pa.ChunkedArray, matrices: list[np.ndarray], name: str, mapped: mmap.mmap | None = None):
        self.ids, self.name, self.dimensions = ids, name, matrices[0].shape[1]
        self._matrices, self._mapped = matrices, mapped
        self._starts = np.cumsum([0, *map(len, matrices)])
        self._is_large = mapped is not None and len(mapped) > HELD

    def __len__(self) -> int:
        return len(self.ids)

    def find(self, ids: Iterable[str]) -> np.ndarray:
        """The row number of each id; BallastError where one has no embedding."""
        return positions(self.ids, ids, self.name)

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Embeddings of `rows`, which rise: slice of `rows`, float32 matrix that is valid until the next, its norms."""
        room = np.empty((BLOCK, self.dimensions), np.float32)
        ends = np.searchsorted(rows, self._starts)
        self._advise_all(mmap.MADV_NORMAL)
        for number in np.flatnonzero(np.diff(ends)):
            self._advise(number + AHEAD, mmap.MADV_WILLNEED)
            for begin in range(ends[number], ends[number + 1], BLOCK):
                part = slice(begin, min(begin + BLOCK, ends[number + 1]))
                stored = _some(self._matrices[number], rows[part] - self._starts[number])
                block = to_float32(stored, room[: len(stored)])
                norms = np.sqrt(np.vecdot(block, block))
                # What float32 makes of an infinite float16 is finite, and more than any finite one.
                if not (norms.min() > 0 and norms.max() <= np.finfo(np.float16).max):
                    self._check(stored, rows[part])
                yield part, block, norms
            self._advise(number, mmap.MADV_DONTNEED)

    def units(self, rows: np.ndarray) -> np.ndarray:
        """Unit embeddings of rows in any order, float64, shape rows x dimensions."""
        number = np.searchsorted(self._starts, rows, side="right") - 1
        stored = np.empty((len(rows), self.dimensions), self._matrices[0].dtype)
        for place, (each, row) in enumerate(zip(number.tolist(), (rows - self._starts[number]).tolist(), strict=True)):
            stored[place] = self._matrices[each][row]
        self._check(stored, rows)
        wide = stored.dtype != np.float16
        found = (stored if wide else to_float32(stored, np.empty(stored.shape, np.float32))).astype(np.float64)
        return found / np.sqrt(np.vecdot(found, found))[:, None]

    def names(self, rows: np.ndarray) -> list[str]:
        """Ids of rows; of a large file without reading all ids."""
        if not self._is_large:
            return self.ids.take(rows).to_pylist()
        self.scattered()
        number = np.searchsorted(self._starts, rows, side="right") - 1
        places = zip(number.tolist(), (rows - self._starts[number]).tolist(), strict=True)
        found = [self.ids.chunk(each)[row].as_py() for each, row in places]
        self.scattered()
        return found

    def scattered(self) -> None:
        """Say that single rows are read next: the system shall not read those after them too, nor keep their pages."""
        self._advise_all(mmap.MADV_RANDOM)

    def _check(self, stored: np.ndarray, rows: np.ndarray) -> None:
        wrong = unusable(stored)
        if wrong:
            row = self.ids[int(rows[wrong[0]])]
            raise BallastError(f"{self.name}: the embedding of row {row} {wrong[1]}; delete the file and run again")

    def _advise_all(self, advice: int) -> None:
        """Give back what is in memory of a large file, and say how it is read next: a page, or those after it too."""
        if self._is_large:
            self._mapped.madvise(mmap.MADV_DONTNEED)
            self._mapped.madvise(advice)

    def _advise(self, number: int, advice: int) -> None:
        """Tell the system of the pages of one record batch."""
        if not self._is_large or number >= len(self._matrices):
            return
        matrix = self._matrices[number]
        start = matrix.ctypes.data - pa.py_buffer(self._mapped).address
        page = start // mmap.PAGESIZE * mmap.PAGESIZE
        self._mapped.madvise(advice, page, start - page + matrix.nbytes)


def in_memory(ids: Iterable[str], matrix: np.ndarray) -> Vectors:
    """Vectors of a matrix of floats, rows x dimensions."""
    return Vectors(arrow_ids(ids), [matrix], "embedding")


def read(path: str | Path) -> Vectors:
    """Map an embedding file into memory; BallastError where it is torn or holds something else."""
    batches, schema, mapped = batches_of(path)
    if schema.names != ["id", "embedding"] or schema.types != [IDS, pa.list_(pa.float16(), _dimensions(schema))]:
        wanted = "columns 'id' (large_string) and 'embedding' (fixed_size_list of halffloat)"
        raise BallastError(f"{path}: not an embedding file, which has {wanted}; delete it and run again")
    return vectors_of(path, batches, mapped)


def batches_of(path: str | Path) -> tuple[list[pa.RecordBatch], pa.Schema, mmap.mmap]:
    """The record batches of an Arrow file that is mapped, not read, and their schema."""
    try:
        with open(path, "rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with pa.ipc.open_file(pa.py_buffer(mapped)) as reader:
            return [reader.get_batch(number) for number in range(reader.num_record_batches)], reader.schema, mapped
    except FileNotFoundError:
        raise BallastError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError, ValueError) as error:  # an empty file cannot be mapped
        said = (str(error).splitlines() or [""])[0]
        raise BallastError(f"{path}: not a whole Arrow file; delete it and run again ({said})") from None


def vectors_of(path: str | Path, batches: list[pa.RecordBatch], mapped: mmap.mmap) -> Vectors:
    """The vectors of record batches whose first column is the id and whose last is the vector."""
    if not batches:
        raise BallastError(f"{path}: no rows")
    columns = [(batch.column(0), batch.column(batch.num_columns - 1)) for batch in batches]
    if any(column.null_count for ids, lists in columns for column in (ids, lists, lists.values)):
        raise BallastError(f"{path}: a value is missing; delete the file and run again")
    shape = (-1, _dimensions(batches[0].schema))
    matrices = [lists.flatten().to_numpy(zero_copy_only=True).reshape(shape) for _, lists in columns]
    return Vectors(pa.chunked_array([ids for ids, _ in columns], IDS), matrices, str(path), mapped)


def write(path: str | Path, parts: Iterable[tuple[Sequence[str], np.ndarray]]) -> None:
    """Write (ids, matrix of floats) parts as float16, in record batches of BATCH rows each of a part.

    Raises BallastError where a vector is zero or too large for float16.
    """
    with atomic(path) as temporary:
        writer = None
        for ids, matrix in parts:
            for begin in range(0, len(matrix), BATCH):
                some = slice(begin, begin + BATCH)
                with np.errstate(over="ignore"):
                    stored = np.ascontiguousarray(matrix[some], dtype=np.float16)
                wrong = unusable(stored)
                if wrong:
                    raise BallastError(f"{path}: the embedding of row {ids[begin + wrong[0]]} {wrong[1]} in float16")
                flat = pa.FixedSizeListArray.from_arrays(pa.array(stored.reshape(-1)), stored.shape[1])
                batch = pa.record_batch([pa.array(ids[some], IDS), flat], names=["id", "embedding"])
                writer = writer or pa.ipc.new_file(str(temporary), batch.schema)
                writer.write_batch(batch)
        if writer is None:
            raise BallastError(f"{path}: no rows to embed")
        writer.close()


def unusable(stored: np.ndarray) -> tuple[int, str] | None:
    """The first row that has no direction, and why."""
    if stored.dtype == np.float16:  # whose bits are in the order of the numbers, infinity and NaN last
        largest = (stored.view(np.int16) & 0x7FFF).max(axis=1).view(np.float16)
    else:
        largest = np.abs(stored).max(axis=1)
    finite = np.isfinite(largest)
    right = finite & (largest > 0)
    if right.all():
        return None
    row = int(right.argmin())
    return row, "is zero" if finite[row] else "is not finite"


def positions(known: Iterable[str], wanted: Iterable[str], name: str) -> np.ndarray:
    """Where each wanted id stands among the known, int32; BallastError where one is missing or stands there twice."""
    known, wanted = arrow_ids(known), arrow_ids(wanted)
    if known.equals(wanted):
        return np.arange(len(known), dtype=np.int32)
    if pc.count_distinct(known).as_py() != len(known):
        twice = known.value_counts().to_pylist()
        row = next(each["values"] for each in twice if each["counts"] > 1)
        raise BallastError(f"{name}: row {row} is there twice; delete the file and run again")
    found = pc.index_in(wanted, value_set=known)
    if found.null_count:
        row = wanted[pc.index(found.is_null(), True).as_py()]
        raise BallastError(f"{name}: row {row} is missing; delete the file and run again")
    return found.to_numpy()


def to_float32(stored: np.ndarray, out: np.ndarray) -> np.ndarray:
    """`out` with the values of `stored`, exactly; float16's infinities and NaN become finite and beyond its range.

    A float16 is a float32 whose exponent is 112 too low, 13 bits further right. numpy's own conversion takes one
    element at a time, six times as long.
    """
    if stored.dtype != np.float16:
        np.copyto(out, stored, casting="same_kind")
        return out
    bits = out.view(np.int32)
    np.copyto(bits, stored.view(np.int16))  # the sign spreads to the left
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(~0x7000_0000), out=bits)
    return np.multiply(out, np.float32(2.0**112), out=out)


def _some(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows that rise; a view where none is left out."""
    first, last = rows[0], rows[-1] + 1
    return matrix[first:last] if last - first == len(rows) else matrix[rows]


def arrow_ids(ids: Iterable[str]) -> pa.ChunkedArray:
    """Ids without a Python string each; those of pandas and Arrow are not copied."""
    if not isinstance(ids, pa.ChunkedArray):
        ids = pa.array(ids)
        ids = ids if isinstance(ids, pa.ChunkedArray) else pa.chunked_array([ids])
    return ids.cast(IDS)


def _dimensions(schema: pa.Schema) -> int:
    kind = schema.types[-1] if schema.types else None
    return kind.list_size if isinstance(kind, pa.FixedSizeListType) else 1
