"""The store of answers: two writers, damage, a full disk."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ballast.asking.store import Store
from ballast.files import BallastError

SCRIPTS = Path(__file__).parents[2] / "scripts"
VALUES = [0.1 + 0.2, -1e-45, "words\u2028 {} \ud800 é", [[-0.1, 2.0], 7], {"text": None, "missing": "empty"}, True]


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_values_come_back_as_they_were_by_text_and_question(tmp_path):
    store = Store(tmp_path, "words", {"b": 1, "a": [2]})
    texts = [f"text {number}" for number in range(len(VALUES))] + [("text 0", "x"), [1, 2]]
    values = [*VALUES, 1, 2]
    store.add(zip(texts, values, strict=True))
    assert [store.get(text) for text in texts] == values
    again = Store(str(tmp_path), "words", {"a": [2], "b": 1})
    assert [again.get(text) for text in texts] == values and repr(again.get("text 0")) == repr(0.1 + 0.2)
    for other in (("words", {"b": 1, "a": [3]}), ("words",), ()):
        assert Store(tmp_path, *other).get("text 0") is None
    assert len(files(tmp_path)) == 1 and "text 0" not in files(tmp_path)[0].read_text()


def test_the_first_written_value_wins_in_every_process(tmp_path):
    first, second = Store(tmp_path), Store(tmp_path)
    first.add([("a", 1)])
    time.sleep(0.01)
    second.add([("a", 2), ("b", 2)])
    first.add([("a", 3), ("c", 3)])
    for store in (Store(tmp_path), first):
        assert store.get("a") == 1
    assert [Store(tmp_path).get(text) for text in "abc"] == [1, 2, 3]
    assert len(files(tmp_path)) == 2


def test_reading_and_adding_nothing_write_nothing(tmp_path):
    store = Store(tmp_path / "store")
    store.add([])
    assert store.get("a") is None and not (tmp_path / "store").exists()
    memory = Store(None)
    memory.add([("a", 1)])
    assert memory.get("a") == 1


def test_threads_add_to_one_file(tmp_path):
    store = Store(tmp_path)
    threads = [
        threading.Thread(target=lambda start=start: [store.add([(n, "x" * 999 + str(n))]) for n in range(start, 50, 5)])
        for start in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = Store(tmp_path)
    assert [again.get(n) for n in range(50)] == ["x" * 999 + str(n) for n in range(50)] and len(files(tmp_path)) == 1


PROGRAM = """
import sys
from ballast.asking.store import Store
folder, start, stop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
store = Store(folder, "q")
sys.stdin.readline()
for n in range(start, stop, 4):
    store.add([(m, f"value of {m}" * 50) for m in range(n, n + 4)])
"""


def test_two_processes_write_while_a_third_reads(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    ranges = [(0, 400), (200, 600)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, tmp_path, *map(str, span)],
            env=environment,
            stdin=subprocess.PIPE,
            text=True,
        )
        for span in ranges
    ]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    seen = []
    while any(writer.poll() is None for writer in writers):
        store = Store(tmp_path, "q")
        found = [store.get(n) for n in range(600)]
        assert all(value in (None, f"value of {n}" * 50) for n, value in enumerate(found))
        seen.append(sum(value is not None for value in found))
    assert [writer.wait() for writer in writers] == [0, 0]
    final = Store(tmp_path, "q")
    assert [final.get(n) for n in range(600)] == [f"value of {n}" * 50 for n in range(600)]
    assert any(0 < count < 600 for count in seen), "it was read while it was written"
    assert len(files(tmp_path)) == 2


@pytest.fixture
def written(tmp_path) -> Path:
    """The file of a store that holds a, b and c."""
    store = Store(tmp_path)
    store.add([("a", "one"), ("b", 2.5)])
    store.add([("c", [3])])
    return files(tmp_path)[0]


def test_no_flipped_byte_gives_another_value(tmp_path, written, capsys):
    whole = written.read_bytes()
    for at in range(len(whole)):
        written.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        store = Store(tmp_path)
        found = [store.get("a"), store.get("b"), store.get("c")]
        assert all(value in (None, right) for value, right in zip(found, ["one", 2.5, [3]], strict=True)), at
        dropped = capsys.readouterr().err
        assert found.count(None) in (1, 2) and "torn or changed lines dropped" in dropped and str(tmp_path) in dropped


def test_a_file_that_ends_anywhere_keeps_its_whole_lines_and_is_redone(tmp_path, written, capsys):
    whole = written.read_bytes()
    last = len(whole) - len(whole.splitlines()[-1]) - 1
    for end in range(last, len(whole)):
        written.write_bytes(whole[:end])
        store = Store(tmp_path)
        complete = end == len(whole) - 1  # but for the line's end
        assert [store.get("a"), store.get("b")] == ["one", 2.5]
        assert store.get("c") == ([3] if complete else None)
        assert ("1 torn" in capsys.readouterr().err) == (last < end and not complete)
    written.write_bytes(whole[: last + 9])
    Store(tmp_path).add([("c", [3]), ("d", 4)])
    again = Store(tmp_path)
    assert [again.get(text) for text in "abcd"] == ["one", 2.5, [3], 4]


@pytest.mark.parametrize("junk", [b"null", b"[1]", b'"key"', b"\xff\xfe", b"{}", b"[" * 100000])
def test_a_line_of_another_kind_is_dropped(tmp_path, written, junk, capsys):
    written.write_bytes(junk + b"\n" + written.read_bytes())
    store = Store(tmp_path)
    assert [store.get(text) for text in "abc"] == ["one", 2.5, [3]]
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture
def small_disk(tmp_path):
    """A folder that takes 64 KiB: a file system of its own where this may be mounted, else by a limit on file size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder]
    if os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", folder], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_what_was_kept_stays(small_disk, capsys):
    store = Store(small_disk, "q")
    store.add([("a", "one")])
    with pytest.raises(BallastError, match=r"jsonl: could not be written \((No space|File too large)") as error:
        for number in range(100):
            store.add([(number, os.urandom(1000).hex())])
    assert str(small_disk) in str(error.value) and "\n" not in str(error.value)
    [file] = files(small_disk)
    lines = file.read_bytes().split(b"\n")
    again = Store(small_disk, "q")
    assert again.get("a") == "one" and sum(again.get(n) is not None for n in range(100)) >= len(lines) - 3
    # Room is made; the store that met the full disk goes on in a new file, not behind half a line.
    file.write_bytes(lines[0] + b"\n" + lines[1][:20])
    store.add([("z", 26)])
    final = Store(small_disk, "q")
    assert (final.get("a"), final.get("z")) == ("one", 26) and "1 torn" in capsys.readouterr().err
    assert len(files(small_disk)) == 2


def test_lines_are_json_that_other_programs_read(written):
    for line in written.read_text().splitlines():
        assert set(json.loads(line)) == {"check", "key", "value"}


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BallastError, match="could not be written"):
        Store(tmp_path / "file" / "store").add([("a", 1)])
