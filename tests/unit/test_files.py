"""Atomic writing and reading that names what is wrong."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ballast import files, schemas
from ballast.files import BallastError


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "table.csv"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError), files.atomic(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["table.csv"]


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    line = r"new.csv: could not be written \(No space left on device: [\d.]+ MiB free, and it needs more\); make room"
    with pytest.raises(BallastError, match=line):
        files.write_text(tmp_path / "new.csv", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_writer_leaves_nothing_once_the_file_is_written_again(tmp_path):
    program = "import os, sys\nfrom ballast.files import atomic\nwith atomic(sys.argv[1]) as path:\n"
    program += "    path.write_text('half')\n    os.kill(os.getpid(), 9)"
    environment = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program, tmp_path / "a.csv"], env=environment)
    (tmp_path / ".a.csv.bak").touch()
    assert len(list(tmp_path.glob(".a.csv.????????"))) == 1
    files.write_text(tmp_path / "a.csv", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.csv.bak", "a.csv"]


def test_two_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    with files.atomic(tmp_path / "a") as first:
        first.write_text("first")
        files.write_text(tmp_path / "a", "second")
        assert first.read_text() == "first"
    assert (tmp_path / "a").read_text() == "first" and len(list(tmp_path.iterdir())) == 1


def test_a_file_where_a_folder_should_be_is_one_line(tmp_path):
    (tmp_path / "a").touch()
    with pytest.raises(BallastError, match=r"a/b: could not be written \(File exists\)"):
        files.write_text(tmp_path / "a" / "b", "text")


def test_a_torn_parquet_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    files.write_parquet(path, pd.DataFrame({"id": ["a", "b"]}))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BallastError, match=r"rows.parquet: not a whole Parquet file; delete it"):
        files.read_parquet(path)
    path.write_bytes(b"")
    with pytest.raises(BallastError, match="not a whole Parquet file"):
        files.read_parquet(path)
    with pytest.raises(BallastError, match="no such file"):
        files.read_parquet(tmp_path / "absent.parquet")


def test_equal_tables_give_equal_bytes(tmp_path):
    table = pd.DataFrame({"id": ["a", "b"], "score": [1.0, None], "category": pd.array([1, None], dtype="Int8")})
    files.write_parquet(tmp_path / "one", table)
    files.write_parquet(tmp_path / "two", table.copy())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_text_that_is_not_utf8_names_the_line(tmp_path):
    path = tmp_path / "pool.json"
    path.write_bytes('[{"instruction": "a",\n"output": "caf\xe9"}]'.encode("latin-1"))
    with pytest.raises(BallastError, match=r"pool.json: line 2: not UTF-8 at byte 36"):
        files.read_json(path)


def test_only_a_newline_ends_a_row(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": "one\u2028two\x85three"}\n\n{"a": "four"}\n', encoding="utf-8")
    assert [row["a"] for row in files.read_jsonl(path)] == ["one\u2028two\x85three", "four"]
    path.write_text('{"a": 1}\n{"a": ', encoding="utf-8")
    with pytest.raises(BallastError, match=r"rows.jsonl: line 2: not valid JSON"):
        files.read_jsonl(path)


def test_a_table_that_breaks_its_schema_is_named(tmp_path):
    path = tmp_path / "pairs.parquet"
    files.write_parquet(path, pd.DataFrame({"id": ["a", "a"], "instruction": "x", "input": "", "output": "y"}))
    with pytest.raises(BallastError, match=r"pairs.parquet: .*id.*duplicate") as refusal:
        schemas.read(path, schemas.PAIRS)
    assert "\n" not in str(refusal.value)
