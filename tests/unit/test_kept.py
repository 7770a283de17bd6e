"""What reading modules found is kept between processes: it saves time and changes no identity."""

import os
import time

import pytest

from ballast import identity, kept, reach


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache folder, and nothing known from before."""
    monkeypatch.setattr(kept, "_folder", lambda: tmp_path / "modules")
    monkeypatch.setattr(identity, "KNOWN", {})
    forget()
    yield tmp_path / "modules"
    forget()


def forget() -> None:
    """As a new process."""
    identity.KNOWN.clear()
    reach.module.cache_clear()
    kept._tidy.cache_clear()


def test_a_second_process_reads_no_module_again(folder, monkeypatch):
    before = identity.code_identity("sample", "samplers/sss")
    assert len(list(folder.iterdir())) > 20
    forget()
    monkeypatch.setattr(reach.ast, "parse", lambda *_: pytest.fail("it was read again"))
    assert identity.code_identity("sample", "samplers/sss") == before


@pytest.mark.parametrize("content", [b"", b'{"parts": {"', b"\xff"])
def test_a_torn_file_is_made_again(folder, content):
    before = identity.code_identity("sample", "samplers/sss")
    whole = {file.name: file.read_bytes() for file in folder.iterdir()}
    for file in folder.iterdir():
        file.write_bytes(content)
    forget()
    assert identity.code_identity("sample", "samplers/sss") == before
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == whole


def test_a_folder_that_cannot_be_made_costs_time_alone(folder):
    before = identity.code_identity("sample", "samplers/sss")
    forget()
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    folder.write_text("a file is in the way")
    assert identity.code_identity("sample", "samplers/sss") == before


def test_files_that_are_old_go(folder):
    kept.write("one", {})
    os.utime(folder / "one", (0, time.time() - 86400 * (kept.DAYS + 1)))
    forget()
    kept.write("two", {})
    assert [file.name for file in folder.iterdir()] == ["two"]


def test_another_content_place_or_role_has_another_name():
    names = {kept.key(*parts) for parts in (("a.py", b"1", "p", True), ("a.py", b"2", "p", True))}
    names |= {kept.key(*parts) for parts in (("b.py", b"1", "p", True), ("a.py", b"1", "p", False))}
    assert len(names) == 4
