"""Read and write the files that pass between stages.

Every file is written under a temporary name beside its target and renamed, so a reader never meets half a file.
Every reader reports a torn, missing or mis-encoded file in one line that names the file and what to do.
"""

import errno
import fcntl
import glob
import gzip
import hashlib
import json
import lzma
import os
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ballast import limits
from ballast.spreadsheet import inert

PACKED = {".gz": gzip.open, ".xz": lzma.open}
FULL = (errno.ENOSPC, errno.EDQUOT)
# Where a format wants a date: equal inputs give equal bytes, so it is no clock's. No zip can hold an earlier one.
STAMP = "1980-01-01T00-00-00"


class BallastError(Exception):
    """A mistake that a person can fix; the message states what is wrong, where, and what to do."""


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an error while `path` is written into one line; on a full disk it states the free space."""
    try:
        yield
    except Exception as error:
        full = _full(error)
        if not full and not isinstance(error, OSError):
            raise
        why = os.strerror(full) if full else getattr(error, "strerror", None) or _first_line(error)
        if full:
            there = next(folder for folder in Path(path).absolute().parents if folder.is_dir())
            free = shutil.disk_usage(there).free / 2**20
            raise BallastError(
                f"{path}: could not be written ({why}: {free:.1f} MiB free, and it needs more); make room and run again"
            ) from error
        raise BallastError(f"{path}: could not be written ({why})") from error


def _full(error: Exception) -> int | None:
    """Return the number of an error for a full disk, else None; Rust libraries give it only in their text."""
    given = getattr(error, "errno", None)
    return next((number for number in FULL if number == given or f"(os error {number})" in str(error)), None)


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on any error."""
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_orphans(path)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield temporary
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            umask = os.umask(0)
            os.umask(umask)
            temporary.chmod(0o666 & ~umask)
            os.replace(temporary, path)
        finally:
            os.close(handle)
            temporary.unlink(missing_ok=True)


def _remove_orphans(path: Path) -> None:
    """Remove temporaries of `path` that no process holds: their writers were killed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 8}"):
        with suppress(OSError), open(left, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BallastError(f"{path}: could not be read ({error.strerror})") from None


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text; keep its line ends."""
    with atomic(path) as temporary:
        temporary.write_bytes(text.encode("utf-8"))


def write_json(path: str | Path, value: object) -> None:
    """Write JSON with sorted keys, so that equal values give equal bytes."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table as CSV; an apostrophe opens each text that a spreadsheet program would run as a formula."""
    texts = table.select_dtypes(["object", "string", "category"])
    safe = {name: pd.Series([inert(cell) for cell in texts[name]], table.index, object) for name in texts}
    write_text(path, table.assign(**safe).rename(columns=inert).to_csv(index=False, lineterminator="\n"))


def write_parquet(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table without pandas' own metadata, which names library versions and would change the bytes."""
    with atomic(path) as temporary:
        arrow = pa.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
        pq.write_table(arrow, temporary, compression="zstd")


def read_parquet(path: str | Path) -> pd.DataFrame:
    """Read a whole Parquet file; raise BallastError with its name if it is torn."""
    with _reading_parquet(path):
        return pd.read_parquet(path)


def read_arrow(
    path: str | Path, columns: list[str], optional: Collection[str] = (), ids: Collection[str] | None = None
) -> pa.Table:
    """Read some columns of a Parquet file, without a Python object per value; `optional` ones may be absent.

    `ids`: read only the rows with these ids, in file order; memory then holds no column of the whole file.
    """
    among = None if ids is None else pc.field("id").isin(pa.array(ids, pa.string()))
    with _reading_parquet(path):
        known = pq.read_schema(path).names
        lacking = [column for column in columns if column not in known and column not in optional]
        if not lacking:
            return pq.read_table(path, columns=[column for column in columns if column in known], filters=among)
    raise BallastError(f"{path}: no column '{lacking[0]}'")


@contextmanager
def _reading_parquet(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BallastError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise BallastError(
            f"{path}: not a whole Parquet file; delete it and run again ({_first_line(error)})"
        ) from None


def read_text(path: str | Path) -> str:
    """Read UTF-8 text, also from `.gz` or `.xz`; the error for other bytes names the byte and its line."""
    try:
        raw = _unpacked(path)
    except FileNotFoundError:
        raise BallastError(f"{path}: no such file") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BallastError(f"{path}: could not be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise BallastError(
            f"{path}: line {line}: not UTF-8 at byte {error.start}; save the file as UTF-8 and run again"
        ) from None


def _unpacked(path: str | Path) -> bytes:
    opened = PACKED.get(Path(path).suffix)
    if opened is None:
        return Path(path).read_bytes()
    with opened(path, "rb") as file:
        raw = file.read(limits.WHOLE + 1)
    if len(raw) > limits.WHOLE:
        raise BallastError(f"{path}: over {limits.WHOLE / 2**20:.0f} MiB once unpacked; unpack it, or take a part")
    return raw


def read_json(path: str | Path) -> object:
    """Read JSON; the error for a torn file names the line."""
    return parse_json(read_text(path), f"{path}", lines=True)


def read_jsonl(path: str | Path) -> list[dict]:
    """Read JSON lines. Only a newline ends a row: U+2028 inside a string stays inside it."""
    lines = enumerate(read_text(path).split("\n"), start=1)
    return [parse_json(line, f"{path}: line {number}") for number, line in lines if line.strip()]


def parse_json(text: str, place: str, lines: bool = False) -> object:
    """Return the value of a JSON text; BallastError names `place`, and with `lines` the line in the text."""
    try:
        return whole_json(DECODER.decode(text), text, place)
    except json.JSONDecodeError as error:
        at = f"{place}: line {error.lineno}" if lines else place
        raise BallastError(f"{at}: not valid JSON ({json_mistake(error)})") from None
    except UNREADABLE_JSON as error:
        raise BallastError(f"{place}: {json_refusal(error)}") from None


def json_mistake(error: json.JSONDecodeError) -> str:
    """Return what is wrong, in the words of a person who wrote the file."""
    before, after = error.doc[: error.pos].rstrip(), error.doc[error.pos :].lstrip()
    if after[:1] in ("]", "}") and before.endswith(",") or error.msg.startswith("Illegal trailing comma"):
        return "a trailing comma; remove it"
    if error.msg == "Extra data" and after.startswith(","):
        return "a comma after the object; JSON lines have none"
    if error.msg == "Extra data":
        return "more text after the first value; a file holds one list, or one object a line"
    if after.startswith("'"):
        return "single quotes, as Python prints a dict; write it with json.dumps"
    return error.msg


def json_refusal(error: Exception) -> str:
    """Return what is wrong with JSON that is valid but that Python or a table cannot hold."""
    if isinstance(error, RecursionError):
        return "nested too deeply to be read; flatten it or remove the row"
    if isinstance(error, RepeatedKey):
        key = f"the key '{error}'" if str(error).isidentifier() else "a key"
        return f"{key} stands twice in an object; keep one"
    return "a whole number of more than 4,300 digits; write it as text or remove it"


class RepeatedKey(Exception):
    """A key that stands twice in one object."""


def _object(items: list[tuple[str, object]]) -> dict:
    found = dict(items)
    if len(found) < len(items):
        keys = [key for key, _ in items]
        raise RepeatedKey(next(key for key in keys if keys.count(key) > 1))
    return found


# Python's own decoder lets the last of two equal keys win.
DECODER = json.JSONDecoder(object_pairs_hook=_object)
UNREADABLE_JSON = (RepeatedKey, RecursionError, ValueError)


def whole_json(value: object, text: str, place: str) -> object:
    """Return `value`, read from JSON; raise BallastError on half of a UTF-16 pair, which no file can hold."""
    if "\\ud" in text or "\\uD" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise BallastError(f"{place}: {half} is half a character; mend it or remove it") from None
    return value


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
