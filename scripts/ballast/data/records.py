"""Read the records of a data file, one at a time: JSON, JSON lines, CSV or Parquet, plain or in `.gz` or `.xz`.

A file's content decides its format, not its name, so that JSON lines in a `.json` are read. Memory use does not grow
with the file; a JSON list is read record by record too.
"""

import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ballast.files import BallastError, read_text, whole_json

PART = 2**20  # characters of a JSON list read at a time
BATCH = 4096  # rows of a Parquet file held as Python objects at a time
SEPARATORS = ",;\t"
SPACE = re.compile(r"[ \t\r\n]*")
MAGIC = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\x00": lzma.open}
# Formats that cannot be read, by their first bytes, and what to do.
REFUSED = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"\x28\xb5\x2f\xfd": "packed with zstandard; unpack it, or pack it with gzip",
    b"\xff\xfe": "UTF-16; save the file as UTF-8 and run again",
    b"\xfe\xff": "UTF-16; save the file as UTF-8 and run again",
}


def records(path: str | Path) -> Iterator[dict]:
    """Yield each record as column to value, in file order; BallastError names the file and line of a mistake."""
    with _reading(path):
        with open(path, "rb") as file:
            head = file.read(8)
        for magic, said in REFUSED.items():
            if head.startswith(magic):
                raise BallastError(f"{path}: {said}")
        if head.startswith(b"PAR1"):
            yield from _parquet(path)
            return
        unpack = next((opened for magic, opened in MAGIC.items() if head.startswith(magic)), open)
        with unpack(path, "rb") as file:
            buffered = io.BufferedReader(file, PART) if unpack is not open else file
            if _is_csv(path):
                yield from _csv(buffered, path)
            elif _first(buffered) == b"[":
                yield from _list(buffered, path)
            else:
                yield from _lines(buffered, path)


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BallastError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        read_text(path)  # names the line and the byte
        raise
    except pa.ArrowInvalid as error:
        raise BallastError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BallastError(f"{path}: could not be read ({getattr(error, 'strerror', None) or error})") from None


def _is_csv(path: str | Path) -> bool:
    return bool({".csv", ".tsv"} & set(map(str.lower, Path(path).suffixes)))


def _first(file: BinaryIO) -> bytes:
    """Return the first byte that is neither space nor a byte order mark, and rewind the file."""
    found = b" "
    while found.isspace() or found in b"\xef\xbb\xbf":
        found = file.read(1)
        if not found:
            break
    file.seek(0)
    return found


def _lines(file: BinaryIO, path: str | Path) -> Iterator[dict]:
    """Yield the object on each line. Only a newline ends a row: U+2028 inside a string stays inside it."""
    for number, raw in enumerate(file, start=1):
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            value = whole_json(json.loads(line), line, place)
        except json.JSONDecodeError as error:
            if number == 1 and line.strip() in ("{", '{"'):
                raise BallastError(f"{path}: wanted a list of objects, or one object a line") from None
            raise BallastError(f"{place}: not valid JSON ({error.msg})") from None
        if not isinstance(value, dict):
            raise BallastError(f"{place}: wanted an object of columns and values")
        yield value


def _list(file: BinaryIO, path: str | Path) -> Iterator[dict]:
    """Yield the objects of a JSON list, each as soon as it is whole."""
    text, decoder = io.TextIOWrapper(file, encoding="utf-8-sig", newline=""), json.JSONDecoder()
    held, at, line, wanted, part, ended = "", 0, 1, "[", PART, False
    while True:
        begin = SPACE.match(held, at).end()
        line, at = line + held.count("\n", at, begin), begin
        sign = held[at : at + 1]
        if sign and sign not in wanted:
            said = "wanted a list of objects" if wanted.startswith("{") else f"not valid JSON (wanted one of {wanted})"
            raise BallastError(f"{path}: line {line}: {said}")
        if sign == "]":
            return
        if sign == "{":
            try:
                value, end = decoder.raw_decode(held, at)
            except json.JSONDecodeError as error:
                if ended:
                    line += held.count("\n", at, error.pos)
                    raise BallastError(f"{path}: line {line}: not valid JSON ({error.msg})") from None
            else:
                yield whole_json(value, held[at:end], f"{path}: line {line}")
                line, at, wanted, part = line + held.count("\n", at, end), end, ",]", PART
                continue
        elif sign:
            at, wanted = at + 1, "{]" if sign == "[" else "{"
            continue
        if ended:
            raise BallastError(f"{path}: line {line}: not valid JSON (the list has no end)")
        more = text.read(part)
        # Read twice as much next time, so that a long record is not decoded again and again.
        held, at, ended, part = held[at:] + more, 0, not more, 2 * part


def _csv(file: BinaryIO, path: str | Path) -> Iterator[dict]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    csv.field_size_limit(2**31 - 1)
    header = text.readline()
    text.seek(0)
    separator = max(SEPARATORS, key=header.count)
    rows = csv.DictReader(text, delimiter=separator, strict=True)
    try:
        for row in rows:
            if None in row:
                raise BallastError(
                    f"{path}: line {rows.line_num}: more values than the header has columns; "
                    "put quotes around values that hold the separator"
                )
            yield row
    except csv.Error as error:
        raise BallastError(f"{path}: line {rows.line_num}: not a whole CSV file ({error})") from None


def _parquet(path: str | Path) -> Iterator[dict]:
    for batch in pq.ParquetFile(path).iter_batches(batch_size=BATCH):
        yield from batch.to_pylist()
