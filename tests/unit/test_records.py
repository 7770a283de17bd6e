"""Records of data files: the four kinds, packed or plain, read part by part, and what a bad file is told."""

import csv
import gzip
import io
import json
import lzma
import tracemalloc

import pandas as pd
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


LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
LIST = json.dumps(ROWS, ensure_ascii=False, indent=2).encode()
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
    monkeypatch.setattr(module, "PART", max(part, 2) if name.endswith((".gz", ".xz")) else part)
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
        ("rows.jsonl.zst", b"\x28\xb5\x2f\xfdrest", "packed with zstandard"),
        ("ragged.csv", b"a,b\nc,d,e\n", "line 2: more values than the header has columns; put quotes"),
        ("quote.csv", b'a,b\n"c,d\ne,f\n', ": not a whole CSV file ("),
        ("torn.parquet", as_parquet()[:-20], "not a whole Parquet file ("),
        ("torn.jsonl.gz", gzip.compress(LINES)[:-12], "could not be read ("),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BallastError) as refusal:
        list(records(tmp_path / name))
    message = str(refusal.value)
    assert message.startswith(f"{tmp_path / name}: ") and said in message and "\n" not in message


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
