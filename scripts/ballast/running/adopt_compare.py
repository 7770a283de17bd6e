"""Say where a file that was made again differs from the finished one; on a GPU, within a tolerance.

A difference is named by its place alone (tensor, column, row, line), never by its content, which may be harmful.
"""

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

# A GPU adds in no fixed order, so its results may differ this much. docs/reliability.md has the table.
TOLERANCE = {
    "tensors": 0.01,  # norm of the difference, as a part of the tensor's norm
    "cells": 0.05,  # part of a column's cells, such as responses, that differ; also of those that only one file has
    "columns": 0.01,  # mean difference of a column of numbers, as a part of its range
    "json": 0.05,  # difference of a number in JSON, as a part of it
}


def difference(old: str | Path, new: str | Path, gpu: bool) -> str:
    """Return where two files with other bytes differ first; with `gpu`, empty if it is within TOLERANCE."""
    kind = Path(old).suffix
    if kind == ".safetensors":
        return _tensors(old, new, gpu)
    if kind in (".parquet", ".arrow"):
        return _tables(_table(old), _table(new), gpu) or ("" if gpu else "the same cells in other bytes")
    if kind == ".json" and gpu:
        return _values(json.loads(Path(old).read_text()), json.loads(Path(new).read_text()), "")
    return _bytes(Path(old).read_bytes(), Path(new).read_bytes())


def _bytes(old: bytes, new: bytes) -> str:
    """Return the line of text, or the byte of another file, where two files differ first."""
    equal = next((at for at, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    line = old.count(b"\n", 0, equal) + 1
    return f"byte {equal + 1}" if b"\0" in old else f"line {line}"


def _tensors(old: str | Path, new: str | Path, gpu: bool) -> str:
    with safe_open(old, "pt") as before, safe_open(new, "pt") as after:
        olds, news = set(before.keys()), set(after.keys())
        if alone := olds ^ news:
            return f"tensor {min(alone)}, which only one has"
        for name in sorted(olds):
            was, now = before.get_tensor(name), after.get_tensor(name)
            if (was.shape, was.dtype) != (now.shape, now.dtype):
                return f"tensor {name}: another shape or type"
            apart = float((now.double() - was.double()).norm()) / (float(was.double().norm()) or 1)
            if not apart <= (TOLERANCE["tensors"] if gpu else 0):
                return f"tensor {name}: {apart:.2g} of its norm"
    return "" if gpu else "the same tensors in other bytes"


def _table(path: str | Path) -> pa.Table:
    if Path(path).suffix == ".parquet":
        return pq.read_table(path)
    with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
        return reader.read_all()


def _tables(old: pa.Table, new: pa.Table, gpu: bool) -> str:
    if not old.schema.equals(new.schema):
        return "other columns"
    if old.num_rows != new.num_rows:
        return f"{new.num_rows} rows, not {old.num_rows}"
    return next(filter(None, (_column(name, old[name], new[name], gpu) for name in old.column_names)), "")


def _column(name: str, old: pa.ChunkedArray, new: pa.ChunkedArray, gpu: bool) -> str:
    if old.equals(new):
        return ""
    was, now = old.to_pylist(), new.to_pylist()
    apart = [at for at, (a, b) in enumerate(zip(was, now, strict=True)) if a != b and not (a != a and b != b)]
    if not apart:
        return ""
    place = f"column {name}, row {apart[0] + 1}"
    if not gpu:
        return f"{place}, {len(apart)} of {len(was)} rows"
    kind = old.type.value_type if pa.types.is_list(old.type) or pa.types.is_fixed_size_list(old.type) else old.type
    if not pa.types.is_floating(kind):
        share = len(apart) / len(was)
        return f"{place}, {share:.1%} of the rows" if share > TOLERANCE["cells"] else ""
    before, after = (np.array(rows, dtype=float).reshape(len(rows), -1) for rows in (was, now))
    gaps = np.isnan(before) != np.isnan(after)
    if gaps.mean() > TOLERANCE["cells"]:
        return f"{place}, {gaps.mean():.1%} of the cells are missing in one alone"
    mean, width = np.nanmean(np.abs(after - before)), np.nanmax(before) - np.nanmin(before)
    return f"{place}, by {mean:.2g} in the mean" if not mean <= TOLERANCE["columns"] * width else ""


def _values(old: object, new: object, place: str) -> str:
    """Return the first key of JSON whose values differ by more than TOLERANCE; numbers alone have one."""
    if isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys():
        return next(filter(None, (_values(old[key], new[key], f"{place}.{key}") for key in old)), "")
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        items = enumerate(zip(old, new, strict=True))
        return next(filter(None, (_values(a, b, f"{place}[{at}]") for at, (a, b) in items)), "")
    if isinstance(old, int | float) and isinstance(new, int | float):
        return "" if math.isclose(old, new, rel_tol=TOLERANCE["json"]) else f"key {place.lstrip('.')}"
    return "" if old == new else f"key {place.lstrip('.') or 'at the top'}"
