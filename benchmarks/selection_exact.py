"""Subsets a second time for benchmarks/selection.py: plain float64 over all rows, and the full matrix of cosines.

Only the round robin over categories is shared with the samplers.
"""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast.picks.selection import rarest_first, round_robin  # noqa: E402

CATEGORIES = 14


def batches(path: Path) -> Iterator[tuple[list[str], np.ndarray]]:
    """Ids and float64 unit vectors of each record batch."""
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        for number in range(reader.num_record_batches):
            ids, embedded = reader.get_batch(number).columns
            matrix = embedded.flatten().to_numpy().reshape(len(ids), -1).astype(np.float64)
            yield ids.to_pylist(), matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def mean_units(path: Path, categories: np.ndarray) -> np.ndarray:
    """Mean unit vector of each category's rows; `categories` has one a row."""
    sums, begin = 0.0, 0
    for _, units in batches(path):
        inside = categories[begin : begin + len(units)] == np.arange(CATEGORIES)[:, None]
        sums = sums + inside.astype(np.float64) @ units
        begin += len(units)
    return sums / np.bincount(categories)[:, None]


def subset(sampler: str, path: Path, categories: pd.Series, references: np.ndarray, n: int) -> list[str]:
    """What a sampler must pick with seed 0."""
    ids = [row for some, _ in batches(path) for row in some]
    inside = np.zeros((len(ids), CATEGORIES), bool)
    for place, own in enumerate(pa.array(categories).to_pylist()):
        inside[place, own] = True
    if sampler == "sss":
        drawn = [hashlib.sha256(f"0|{row}".encode()).hexdigest() for row in ids]
        order = sorted(range(CATEGORIES), key=lambda one: hashlib.sha256(f"0|{one}".encode()).hexdigest())
        return round_robin(_queues(ids, inside, lambda place, _: drawn[place]), order, n).ids
    if sampler == "pss":
        directions = sum(
            inside[begin : begin + len(units)].T.astype(np.float64) @ units for begin, units in _numbered(path)
        )
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    else:
        directions = references
    scores = np.concatenate([np.round(units @ directions.T, 6) for _, units in batches(path)])
    if sampler == "cossim":
        inside = scores.argmax(axis=1)[:, None] == np.arange(CATEGORIES)
    queues = _queues(ids, inside, lambda place, category: (-scores[place, category], ids[place]))
    return round_robin(queues, rarest_first({one: len(rows) for one, rows in queues.items()}), n).ids


def full_matrix_seconds(folder: Path, rows: int, categories: int) -> float:
    """CPU seconds of the cosines of some rows to every reference in float32, and their means by category.

    The references are unit vectors in memory beforehand, so their loading and scaling is not counted.
    """
    _, units = next(batches(folder / "pool.arrow"))
    units = units[:rows].astype(np.float32)
    own = [[] for _ in range(categories)]
    for begin, some in _numbered(folder / "references.arrow"):
        for category in range(categories):
            own[category].append(some[(category - begin) % categories :: categories].astype(np.float32))
    seconds = 0.0
    for parts in own:
        references = np.concatenate(parts)
        parts.clear()
        begin = time.process_time()
        (units @ references.T).mean(axis=1)
        seconds += time.process_time() - begin
    return seconds


def _numbered(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """The number of each batch's first row, and its unit vectors."""
    begin = 0
    for ids, units in batches(path):
        yield begin, units
        begin += len(ids)


def _queues(ids: list[str], inside: np.ndarray, key) -> dict[int, list[str]]:
    """Every category's rows, ranked by `key(row, category)`."""
    queues = {}
    for category in range(CATEGORIES):
        places = sorted(np.flatnonzero(inside[:, category]).tolist(), key=lambda place: key(place, category))  # noqa: B023
        queues[category] = [ids[place] for place in places]
    return queues
