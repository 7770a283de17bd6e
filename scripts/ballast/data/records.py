"""Read the records of a data file, one at a time: JSON, JSON lines, CSV, Parquet or Arrow, plain or packed.

A file's content decides its format, not its name, so that JSON lines in a `.json` are read. Memory use does not grow
with the file; a JSON list is read record by record too.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from ballast import limits
from ballast.data.named import named
from ballast.files import (
    DECODER,
    UNREADABLE_JSON,
    BallastError,
    json_mistake,
    json_refusal,
    parse_json,
    read_text,
    whole_json,
)

PART = 2**20  # characters of a JSON list read at a time
BATCH = 256  # rows of a table held at a time: a dictionary makes rows of a megabyte out of a few bytes
SEPARATORS = ",;\t"
SPACE = re.compile(r"[ \t\r\n]*")
MAGIC = {
    b"\x1f\x8b": gzip.open,
    b"\xfd7zXZ\x00": lambda path, _: _Packed(path, lzma.LZMADecompressor),
    b"BZh": lambda path, _: _Packed(path, bz2.BZ2Decompressor),
    b"\x28\xb5\x2f\xfd": lambda path, _: pa.input_stream(str(path), compression="zstd"),
}
# How datasets stores a table on disk begins with the stream's mark, an Arrow file with its name.
ARROW = {b"\xff\xff\xff\xff": pa.ipc.open_stream, b"ARROW1": pa.ipc.open_file}
STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
# Formats that cannot be read, by their first bytes, and what to do.
REFUSED = {
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack it, or save it as CSV",
    b"\xff\xfe": "UTF-16; save the file as UTF-8 and run again",
    b"\xfe\xff": "UTF-16; save the file as UTF-8 and run again",
    b"version ": "a pointer of Git LFS in place of the file; run git lfs pull",
    b"<!DOCTYP": "a web page; download the file itself",
    b"<html": "a web page; download the file itself",
}


def records(path: str | Path) -> Iterator[dict]:
    """Yield each record as column to value, in file order; BallastError names the file and line of a mistake."""
    for number, record in enumerate(_records(path)):
        if number == limits.ROWS:
            raise BallastError(_too_many(path))
        yield record


def _records(path: str | Path) -> Iterator[dict]:
    with _reading(path):
        if Path(path).is_dir():
            raise BallastError(f"{path}: a folder; {folder_advice(path)}")
        with open(path, "rb") as file:
            head = file.read(8)
        for magic, said in REFUSED.items():
            if head.startswith(magic):
                raise BallastError(f"{path}: {said}")
        if head.startswith(b"PAR1"):
            yield from _parquet(path)
            return
        for magic, opened in ARROW.items():
            if head.startswith(magic):
                yield from _arrow(path, opened)
                return
        unpack = next((opened for magic, opened in MAGIC.items() if head.startswith(magic)), open)
        with unpack(path, "rb") as file:
            first = _first(file)
        with unpack(path, "rb") as file:
            buffered = io.BufferedReader(_Bounded(file, path), PART)
            if _is_csv(path):
                yield from _csv(buffered, path)
            elif first == b"[":
                yield from _list(buffered, path)
            else:
                yield from _lines(buffered, path)


class _Packed(io.RawIOBase):
    """The bytes in a `.bz2` or `.xz` file. Python's own readers skip what follows a stream without a word."""

    def __init__(self, path: str | Path, decompressor: Callable):
        self.file = open(path, "rb")  # noqa: SIM115 - closed with this object
        self.new, self.stream = decompressor, decompressor()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = b""
        while not data:
            packed = b""
            if self.stream.eof:
                packed = self.stream.unused_data or self.file.read(PART)
                if not packed.strip(b"\0"):
                    return 0
                self.stream = self.new()
            elif self.stream.needs_input and not (packed := self.file.read(PART)):
                raise EOFError("the compressed file has no end")
            data = self.stream.decompress(packed, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


class _Bounded(io.RawIOBase):
    """The bytes of a file up to the limit on unpacked ones."""

    def __init__(self, file: BinaryIO, path: str | Path):
        self.file, self.path, self.left = file, path, limits.UNPACKED

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self.file.read(len(buffer))
        self.left -= len(data)
        if self.left < 0:
            raise BallastError(_too_large(self.path))
        buffer[: len(data)] = data
        return len(data)


def _each_line(file, path: str | Path) -> Iterator:
    """Yield the lines of a file, bytes or text."""
    while line := file.readline(limits.ROW + 1):
        if len(line) > limits.ROW:
            raise BallastError(_too_long(path))
        yield line


def _too_large(path: str | Path) -> str:
    return f"{path}: over {limits.UNPACKED / 2**30:.0f} GiB once unpacked; take a part of it"


def _too_long(path: str | Path) -> str:
    return f"{path}: a row of over {limits.ROW / 2**20:.0f} MiB, which no model reads; take it out, or cut its texts"


@contextmanager
def _reading(path: str | Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise BallastError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        read_text(path)  # names the line and the byte
        raise
    except pa.ArrowException as error:
        raise BallastError(f"{path}: not a whole Parquet or Arrow file ({str(error).splitlines()[0]})") from None
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise BallastError(f"{path}: could not be read ({getattr(error, 'strerror', None) or error})") from None


def _is_csv(path: str | Path) -> bool:
    return bool({".csv", ".tsv"} & set(map(str.lower, Path(path).suffixes)))


def _first(file: BinaryIO) -> bytes:
    """Return the first byte that is neither space nor a byte order mark."""
    found = b" "
    while found.isspace() or found in b"\xef\xbb\xbf":
        found = file.read(1)
        if not found:
            break
    return found


def _lines(file: BinaryIO, path: str | Path) -> Iterator[dict]:
    """Yield the object on each line. Only a newline ends a row: U+2028 inside a string stays inside it."""
    for number, raw in enumerate(_each_line(file, path), start=1):
        line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        if not line.strip():
            continue
        if number == 1 and line.strip() in ("{", '{"'):
            raise BallastError(f"{path}: wanted a list of objects, or one object a line")
        place = f"{path}: line {number}"
        value = parse_json(line, place)
        if not isinstance(value, dict):
            raise BallastError(f"{place}: wanted an object of columns and values")
        yield value


def _list(file: BinaryIO, path: str | Path) -> Iterator[dict]:
    """Yield the objects of a JSON list, each as soon as it is whole."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    held, at, line, wanted, part, ended = "", 0, 1, "[", PART, False
    while True:
        begin = SPACE.match(held, at).end()
        line, at = line + held.count("\n", at, begin), begin
        sign = held[at : at + 1]
        if sign and sign not in wanted:
            raise BallastError(f"{path}: line {line}: {_unwanted(sign, wanted)}")
        if sign == "{":
            try:
                value, end = DECODER.raw_decode(held, at)
            except json.JSONDecodeError as error:
                if ended:
                    line += held.count("\n", at, error.pos)
                    raise BallastError(f"{path}: line {line}: not valid JSON ({json_mistake(error)})") from None
            except UNREADABLE_JSON as error:
                raise BallastError(f"{path}: line {line}: {json_refusal(error)}") from None
            else:
                yield whole_json(value, held[at:end], f"{path}: line {line}")
                line, at, wanted, part = line + held.count("\n", at, end), end, ",]", PART
                continue
        elif sign:
            at, wanted = at + 1, {"[": "{]", "]": "", ",": "{"}[sign]
            continue
        if ended and not wanted:
            return
        if ended:
            raise BallastError(f"{path}: line {line}: not valid JSON (the list has no end)")
        if len(held) - at > limits.ROW:
            raise BallastError(_too_long(path))
        more = text.read(part)
        # Read twice as much next time, so that a long record is not decoded again and again.
        held, at, ended, part = held[at:] + more, 0, not more, 2 * part


def _unwanted(sign: str, wanted: str) -> str:
    """Return what is wrong with a sign where a JSON list wants one of `wanted`, or nothing."""
    if not wanted:
        return "more text after the list's end; a file holds one list, or one object a line"
    if sign == "]":
        return "not valid JSON (a trailing comma; remove it)"
    return "wanted a list of objects" if wanted.startswith("{") else f"not valid JSON (wanted one of {wanted})"


def _csv(file: BinaryIO, path: str | Path) -> Iterator[dict]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    csv.field_size_limit(limits.ROW)
    reading = _each_line(text, path)
    header = next(reading, "")
    separator = max(SEPARATORS, key=header.count)
    names = next(csv.reader([header], delimiter=separator), [])
    spaced = any(name.startswith(" ") for name in names[1:])
    lines, swallowed, quoted = _Remembered(chain([header], reading), path), 0, False
    rows = csv.DictReader(lines, delimiter=separator, strict=True, skipinitialspace=spaced)
    try:
        _refuse_repeats(path, rows.fieldnames or [])
        lines.forget()
        for row in rows:
            where = f"{path}: line {rows.line_num}"
            if None in row:
                raise BallastError(
                    f"{where}: more values than the header has columns; "
                    "put quotes around values that hold the separator"
                )
            if any(value and _spaced_quote(value, lines.held) for value in row.values()):
                raise BallastError(f"{where}: a space before an opening quote; remove spaces next to the separator")
            if len(lines.held) > 1:
                looks = _looks_like_rows(lines.held, separator, len(names))
                swallowed, quoted = swallowed or (looks and rows.line_num), quoted or not looks
            lines.forget()
            yield row
    except csv.Error as error:
        raise BallastError(f"{path}: line {rows.line_num}: not a whole CSV file ({error})") from None
    if swallowed and not quoted:
        raise BallastError(
            f"{path}: line {swallowed}: a quote that opens a value swallows whole rows up to this line; "
            "double the quote and put quotes around the value, or save the file as JSON lines"
        )


class _Remembered:
    """The lines of a file; `held` has those since `forget`, at most as long as a row may be."""

    def __init__(self, lines: Iterator[str], path: str | Path):
        self.lines, self.path, self.held, self.size = lines, path, [], 0

    def __iter__(self) -> Iterator[str]:
        for line in self.lines:
            self.held.append(line)
            self.size += len(line)
            if self.size > limits.ROW:
                raise BallastError(_too_long(self.path))
            yield line

    def forget(self) -> None:
        self.held, self.size = [], 0


def _spaced_quote(value: str, lines: list[str]) -> bool:
    """Return whether a value begins with a space and a quote that were meant as an opening quote."""
    quotes = value.startswith(" ") and value.lstrip(" ").startswith('"')
    return quotes and '"{}"'.format(value.replace('"', '""')) not in "".join(lines)


def _looks_like_rows(lines: list[str], separator: str, columns: int) -> bool:
    """Return whether each line of a row would be a whole row without quoting, so that a quote may have swallowed it."""
    # A separator before a space, or between digits, is prose.
    between = re.compile(rf"(?<![0-9]){separator}(?! )|{separator}(?![0-9 ])")
    fields = [field for line in lines for field in between.split(line.rstrip("\r\n"))]
    quoted = any(len(field) > 1 and field[0] == field[-1] == '"' for field in fields)
    return not quoted and all(len(between.findall(line)) == columns - 1 for line in lines)


def _refuse_repeats(path: str | Path, names: Sequence[str]) -> None:
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise BallastError(f"{path}: the column {named(twice)} stands twice; rename or remove one")


def _parquet(path: str | Path) -> Iterator[dict]:
    with pq.ParquetFile(path) as file:
        about = file.metadata
        size = sum(about.row_group(number).total_byte_size for number in range(about.num_row_groups))
        if size > limits.UNPACKED:
            raise BallastError(_too_large(path))
        if about.num_rows > limits.ROWS:
            raise BallastError(_too_many(path))
        yield from _table(path, file.schema_arrow.names, file.iter_batches(BATCH))


def _too_many(path: str | Path) -> str:
    return f"{path}: over {limits.ROWS:,} rows; take a part of them"


def _arrow(path: str | Path, opened: Callable) -> Iterator[dict]:
    with pa.memory_map(str(path)) as source, opened(source) as reader:
        numbers = range(getattr(reader, "num_record_batches", 0))
        batches = (reader.get_batch(number) for number in numbers) if numbers else reader
        parts = (batch.slice(start, BATCH) for batch in batches for start in range(0, batch.num_rows, BATCH))
        yield from _table(path, reader.schema.names, parts)
        if opened is pa.ipc.open_stream and (source.tell() < source.size() or not _ends(source)):
            raise BallastError(f"{path}: not one whole Arrow stream; write the table again, best as Parquet")


def _ends(source: pa.MemoryMappedFile) -> bool:
    """Return whether a stream has its end mark; without one it may have lost whole batches."""
    source.seek(source.size() - len(STREAM_END))
    return source.read() == STREAM_END


def _table(path: str | Path, names: Sequence[str], batches: Iterable[pa.RecordBatch]) -> Iterator[dict]:
    _refuse_repeats(path, names)
    row, size = 0, 0
    for batch in batches:
        size += batch.nbytes
        if size > limits.UNPACKED:
            raise BallastError(_too_large(path))
        if batch.num_rows and batch.nbytes > limits.ROW * batch.num_rows:
            raise BallastError(_too_long(path))
        try:
            rows = batch.to_pylist()
        except (OverflowError, ValueError):
            raise BallastError(_unreadable_value(path, batch, row)) from None
        yield from rows
        row += batch.num_rows


def _unreadable_value(path: str | Path, batch: pa.RecordBatch, before: int) -> str:
    """Return which value of a batch Python cannot hold, such as a date beyond the year 9999."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        for row, value in enumerate(column):
            try:
                value.as_py()
            except (OverflowError, ValueError) as error:
                said = f"{path}: row {before + row}: '{name}' cannot be read ({error})"
                return f"{said}; correct the value, or store it as text"
    return f"{path}: rows {before} to {before + batch.num_rows - 1} cannot be read"


def folder_advice(path: str | Path) -> str:
    """Return how to give the data in a folder as one file."""
    if (Path(path) / "state.json").is_file() or (Path(path) / "dataset_dict.json").is_file():
        return "datasets saved it: load_from_disk(folder)['train'].to_parquet('rows.parquet') makes one file of it"
    files = [file.name for file in sorted(Path(path).glob("*")) if file.is_file()][:5]
    return f"give one file (there are: {', '.join(files) or 'none'})"
