"""Files that are small on disk and large in memory end in one line; the memory that they take is bounded."""

import bz2
import gzip
import json
import lzma
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ballast import limits
from ballast.data.records import records
from ballast.files import BallastError, read_text
from ballast.plugins import HOME

PACK = {"gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}
ROW = '{"prompt": "%s", "response": "b"}'
LONG = "a row of over .* MiB, which no model reads"
LARGE = "over .* GiB once unpacked; take a part of it"
MANY = "over 9 rows; take a part of them"


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, size in {"ROW": 1_000, "ROWS": 9, "UNPACKED": 5_000, "WHOLE": 5_000}.items():
        monkeypatch.setattr(limits, name, size)


def parquet(path, prompts, **options) -> None:
    pq.write_table(pa.table({"prompt": prompts, "response": ["b"] * len(prompts)}), path, compression="zstd", **options)


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.jsonl", ROW % ("a" * 1_001), LONG),
        ("rows.json", f"[{ROW % ('a' * 3_000)}]", LONG),
        ("rows.csv", "prompt,response\n" + "a" * 1_001 + ",b\n", LONG),
        ("rows.csv", 'prompt,response\n"' + "a\n" * 501 + '",b\n', LONG),
        ("rows.csv", "a" * 1_001, LONG),
        ("rows.jsonl", "\n".join([ROW % ("a" * 700)] * 8), LARGE),
        ("rows.json", json.dumps([{"prompt": "a" * 700}] * 8), LARGE),
        ("rows.jsonl", "\n".join([ROW % "a"] * 10), MANY),
    ],
)
def test_a_packed_file_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, name, text, said, ending):
    monkeypatch.setattr("ballast.data.records.PART", 64)
    path = tmp_path / f"{name}.{ending}"
    with PACK[ending](path, "wt") as file:
        file.write(text)
    with pytest.raises(BallastError, match=said) as refusal:
        list(records(path))
    assert "\n" not in str(refusal.value) and "aaa" not in str(refusal.value)


def test_a_parquet_file_is_refused_by_what_its_rows_hold(tmp_path):
    for prompts, said in ((["a"] * 10, MANY), (["a" * 1_001] * 2, LONG), (["a" * 900] * 8, LARGE)):
        parquet(tmp_path / "rows.parquet", prompts)
        with pytest.raises(BallastError, match=said):
            list(records(tmp_path / "rows.parquet"))
    parquet(tmp_path / "rows.parquet", ["a" * 900] * 3)
    assert len(list(records(tmp_path / "rows.parquet"))) == 3, "what fits is read"


def test_deep_json_and_a_long_number_are_one_line(tmp_path):
    for text in ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", '{"a": ' + "9" * 5_000 + "}"):
        for name, body in (("rows.jsonl", text), ("rows.json", f"[{text}]")):
            (tmp_path / name).write_text(body)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(limits, "ROW", 2**20)
                patch.setattr(limits, "UNPACKED", 2**20)
                with pytest.raises(BallastError, match="nested too deeply|more than 4,300 digits"):
                    list(records(tmp_path / name))


def test_a_packed_file_that_is_read_whole_is_bounded(tmp_path):
    for ending in ("gz", "xz"):
        with PACK[ending](tmp_path / f"a.{ending}", "wb") as file:
            file.write(b"a" * 5_001)
        with pytest.raises(BallastError, match="MiB once unpacked; unpack it, or take a part"):
            read_text(tmp_path / f"a.{ending}")


def test_half_a_gigabyte_in_one_row_needs_no_gigabyte(tmp_path):
    """The real limits, in a process that may have 700 MiB more than it starts with."""
    with gzip.open(tmp_path / "row.jsonl.gz", "wb", compresslevel=1) as file:
        for _ in range(700):
            file.write(b"a" * 2**20)
    program = f"import sys, resource; sys.path.insert(0, {str(HOME.parent)!r})\n"
    program += "from ballast.data import forms; from ballast.files import BallastError\n"
    program += "start = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
    program += "resource.setrlimit(resource.RLIMIT_AS, (start + 700 * 2**20,) * 2)\n"
    program += "try: [1 for _ in forms.records(sys.argv[1])]\nexcept BallastError as error: print(error)"
    done = subprocess.run([sys.executable, "-c", program, tmp_path / "row.jsonl.gz"], capture_output=True, text=True)
    assert "a row of over 32 MiB" in done.stdout and not done.stderr, done.stderr[-500:]
