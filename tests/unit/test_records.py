"""Records of data files: the four kinds, packed or plain, read part by part, and what a bad file is told."""

import bz2
import csv
import gzip
import io
import json
import lzma
import tracemalloc

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ballast.data import records as module
from ballast.data.records import records
from ballast.files import BallastError

ROWS = [
    {"prompt": "Name a river, please.", "response": 'He said "the Rhine".\nNothing else.'},
    {"prompt": "one\u2028two", "response": "caf\u00e9; \u6cb3"},
    {"prompt": "", "response": "a\r\nb"},
]


def as_csv(separator: str = ",") -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ROWS[0], delimiter=separator)
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


def as_parquet() -> bytes:
    out = io.BytesIO()
    pd.DataFrame(ROWS).to_parquet(out)
    return out.getvalue()


def as_arrow(opened) -> bytes:
    out = io.BytesIO()
    table = pa.Table.from_pylist(ROWS)
    with opened(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return out.getvalue()


LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
LIST = json.dumps(ROWS, ensure_ascii=False, indent=2).encode()
INCHES = b'prompt\tresponse\n"inch is a unit\tyes\nnext\tno\nlast "\tyes\n'


def as_twice() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["b"]), pa.array(["c"])], names=["a", "a"]), out)
    return out.getvalue()


def as_far() -> bytes:
    """A date beyond the year 9999, in the second row."""
    out = io.BytesIO()
    pq.write_table(pa.table({"a": ["b", "c"], "t": pa.array([0, 300_000_000_000], pa.timestamp("s"))}), out)
    return out.getvalue()


FILES = {
    "rows.json": LIST,
    "rows.jsonl": LINES,
    "lines-in-a.json": LINES,
    "list-in-a.jsonl": LIST,
    "compact.json": json.dumps(ROWS).encode(),
    "rows.csv": as_csv(),
    "rows.tsv": as_csv("\t"),
    "semicolons.csv": as_csv(";"),
    "rows.parquet": as_parquet(),
    "rows.json.gz": gzip.compress(LIST),
    "rows.jsonl.xz": lzma.compress(LINES),
    "rows.csv.gz": gzip.compress(as_csv()),
    "rows.jsonl.bz2": bz2.compress(LINES),
    "padded.jsonl.xz": lzma.compress(LINES) + bytes(8),
    "two-streams.jsonl.bz2": bz2.compress(LINES[:20]) + bz2.compress(LINES[20:]),
    "rows.json.zst": pa.compress(LIST, "zstd", asbytes=True),
    "stream.arrow": as_arrow(pa.ipc.new_stream),
    "file.arrow": as_arrow(pa.ipc.new_file),
    "no-end-of-line.json": LIST + b"  \n\t ",
    "packed-without-saying-so.jsonl": gzip.compress(LINES),
    "mark.json": b"\xef\xbb\xbf" + LIST,
    "mark.jsonl": b"\xef\xbb\xbf" + LINES,
    "mark.csv": b"\xef\xbb\xbf" + as_csv(),
    "blank-lines.jsonl": b"\n" + LINES.replace(b"}\n", b"}\n\n   \n") + b"\n\n",
    "windows.jsonl": LINES.replace(b"}\n", b"}\r\n"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("part", [1, 7, 2**20])
def test_the_same_rows_in_every_file(tmp_path, monkeypatch, name, part):
    monkeypatch.setattr(module, "PART", max(part, 2) if name.endswith((".gz", ".xz", ".bz2", ".zst")) else part)
    (tmp_path / name).write_bytes(FILES[name])
    assert list(records(tmp_path / name)) == ROWS


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("torn.json", LIST[: len(LIST) // 2], ": not valid JSON ("),
        ("torn.jsonl", LINES[:-5], "line 3: not valid JSON ("),
        ("open.json", b'[{"a": "b"},\n', "line 2: not valid JSON (the list has no end)"),
        ("comma.json", b'[{"a": "b"}\n{"a": "c"}]', "line 2: not valid JSON (wanted one of ,])"),
        ("bad.json", b'[{"a": "b"},\n{"a": c}]', "line 2: not valid JSON ("),
        ("words.json", b'["a", "b"]', "line 1: wanted a list of objects"),
        ("words.jsonl", b'"a"\n"b"\n', "line 1: wanted an object of columns and values"),
        ("half.jsonl", b'{"a": "\\ud83d"}\n', "line 1: \\ud83d is half a character; mend it or remove it"),
        ("half.json", b'[{"a": "b"},\n{"a": "\\ud83d"}]', "line 2: \\ud83d is half a character"),
        ("latin.jsonl", b'{"a": "b"}\n{"a": "caf\xe9"}\n', "line 2: not UTF-8 at byte 21"),
        ("latin.json", b'[{"a": "caf\xe9"}]', "line 1: not UTF-8 at byte 11"),
        ("latin.csv", b"a,b\ncaf\xe9,c\n", "line 2: not UTF-8 at byte 7"),
        ("wide.csv", "a,b\n".encode("utf-16"), "UTF-16; save the file as UTF-8"),
        ("rows.xlsx", b"PK\x03\x04rest", "a zip archive or a spreadsheet; unpack it, or save it as CSV"),
        ("rows.jsonl.zst", b"\x28\xb5\x2f\xfdrest", "could not be read ("),
        ("ragged.csv", b"a,b\nc,d,e\n", "line 2: more values than the header has columns; put quotes"),
        ("quote.csv", b'a,b\n"c,d\ne,f\n', ": not a whole CSV file ("),
        ("torn.parquet", as_parquet()[:-20], "not a whole Parquet or Arrow file ("),
        ("two.json", LIST + b"\n" + LIST, "line 15: more text after the list's end; a file holds one list"),
        ("rest.json", b'[{"a": "b"}]]}rest', "line 1: more text after the list's end"),
        ("lists.json", b'[{"a": "b"}]\n[{"a": "c"}]\n', "line 2: more text after the list's end"),
        ("lists.jsonl", b'{"a": "b"}\n[{"a": "c"}]\n', "line 2: wanted an object of columns and values"),
        ("objects.jsonl", b'{"a": "b"} {"a": "c"}\n', "line 1: not valid JSON (more text after the first value"),
        ("trail.json", b'[{"a": "b"},\n]', "line 2: not valid JSON (a trailing comma; remove it)"),
        ("inner.json", b'[{"a": "b",}\n]', "line 1: not valid JSON (a trailing comma; remove it)"),
        ("commas.jsonl", b'{"a": "b"},\n{"a": "c"},\n', "line 1: not valid JSON (a comma after the object"),
        ("python.jsonl", b"{'a': 'b'}\n", "line 1: not valid JSON (single quotes, as Python prints a dict"),
        ("twice.jsonl", b'{"a": "b"}\n{"a": "b", "a": "c"}\n', "line 2: the key 'a' stands twice in an object"),
        ("twice.json", b'[{"m": [{"a": "b",\n"a": "c"}]}]', "line 1: the key 'a' stands twice in an object"),
        ("twice.csv", b"a,b,a\n1,2,3\n", "the column 'a' stands twice; rename or remove one"),
        ("twice.parquet", as_twice(), "the column 'a' stands twice; rename or remove one"),
        (
            "huge.jsonl",
            b'{"a": "b"}\n{"n": ' + b"1" * 5000 + b"}\n",
            "line 2: a whole number of more than 4,300 digits",
        ),
        ("huge.json", b'[{"n": ' + b"1" * 5000 + b"}]", "line 1: a whole number of more than 4,300 digits"),
        ("deep.jsonl", b'{"a": ' + b"[" * 90_000 + b"]" * 90_000 + b"}", "line 1: nested too deeply to be read"),
        ("far.parquet", as_far(), "row 1: 't' cannot be read (date value out of range)"),
        (
            "inch.tsv",
            INCHES,
            "line 4: a quote that opens a value swallows whole rows up to this line",
        ),
        ("late.csv", b'a,b\n"c", "d"\n', "line 2: a space before an opening quote"),
        ("torn.jsonl.bz2", bz2.compress(LINES)[:-12], "could not be read ("),
        ("more.jsonl.bz2", bz2.compress(LINES) + b"rest", "could not be read (Invalid data stream)"),
        ("more.jsonl.xz", lzma.compress(LINES) + b"rest", "could not be read (Input format not supported"),
        ("more.jsonl.gz", gzip.compress(LINES) + b"rest", "could not be read (Not a gzipped file"),
        ("two.arrow", as_arrow(pa.ipc.new_stream) * 2, "not one whole Arrow stream"),
        ("cut.arrow", as_arrow(pa.ipc.new_stream)[:-8], "not one whole Arrow stream"),
        ("lfs.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        ("page.csv", b"<!DOCTYPE html><html></html>", "a web page; download the file itself"),
        ("torn.arrow", as_arrow(pa.ipc.new_stream)[:-40], "not a whole Parquet or Arrow file ("),
        ("torn.jsonl.gz", gzip.compress(LINES)[:-12], "could not be read ("),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BallastError) as refusal:
        list(records(tmp_path / name))
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / name}: ") and said in message and "\n" not in message


def test_spaces_after_commas_are_layout_where_the_header_has_them(tmp_path):
    (tmp_path / "hand.csv").write_text('instruction, input, output\n"How are you?", "", "I am fine, thanks"\na, b,c\n')
    rows = [list(row.values()) for row in records(tmp_path / "hand.csv")]
    assert rows == [["How are you?", "", "I am fine, thanks"], ["a", "b", "c"]]


@pytest.mark.parametrize(
    "text",
    [
        'a,b\nhello,"one\ntwo, three"\n',
        'a,b\nhello,"one\ntwo,three"\nhi,"four\n\nfive"\n',
        '"a","b"\n"hello","one\ntwo,three"\n',
        'a,b\nhello,"about\n1,000"\n',
        'a,b\n" ""so"" he said",c\n',
        'a\tb\nhello\t"one\ntwo"\n',
    ],
)
def test_values_of_several_lines_are_read_as_pandas_reads_them(tmp_path, text):
    (tmp_path / "lines.csv").write_text(text)
    separator = "\t" if "\t" in text else ","
    wanted = pd.read_csv(tmp_path / "lines.csv", sep=separator).to_dict("records")
    assert list(records(tmp_path / "lines.csv")) == wanted


def test_a_folder_is_told_how_to_become_a_file(tmp_path):
    (tmp_path / "data-00000-of-00001.arrow").touch()
    with pytest.raises(BallastError, match=r"a folder; give one file \(there are: data-00000-of-00001.arrow\)"):
        list(records(tmp_path))
    (tmp_path / "state.json").touch()
    with pytest.raises(BallastError, match=r"a folder; datasets saved it: .*to_parquet"):
        list(records(tmp_path))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(BallastError, match="absent.jsonl: no such file"):
        list(records(tmp_path / "absent.jsonl"))


@pytest.mark.parametrize("name", ["large.jsonl", "large.json", "large.csv", "large.jsonl.gz"])
def test_memory_holds_a_part_of_the_file(tmp_path, name):
    path, text = tmp_path / name, "word " * 200
    with (gzip.open if name.endswith(".gz") else open)(path, "wt", encoding="utf-8") as file:
        rows = (json.dumps({"prompt": f"{number} {text}", "response": text}) for number in range(8_000))
        if ".jsonl" in name:
            file.writelines(f"{row}\n" for row in rows)
        elif name.endswith(".json"):
            file.write("[" + ",\n".join(rows) + "]")
        else:
            file.write("prompt,response\n")
            file.writelines(f'"{number} {text}","{text}"\n' for number in range(8_000))
    tracemalloc.start()
    assert sum(1 for _ in records(path)) == 8_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6e6, f"{peak / 1e6:.1f} MB of a file of 16 MB"


def test_real_files_are_the_same_through_json(data_dir):
    path = data_dir / "alpaca/alpaca_random_9229.alpagasus.json"
    assert list(records(path)) == json.loads(path.read_text(encoding="utf-8"))
