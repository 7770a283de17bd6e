"""`make clean-study`: says what it would delete, asks, and deletes one study's results and nothing else."""

import os
import pty
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = {name: value for name, value in os.environ.items() if name not in ("STUDY", "YES", "MAKEFLAGS", "MAKELEVEL")}


@pytest.fixture
def checkout(tmp_path) -> Path:
    """A copied Makefile beside results of two studies and of a world that they share."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/clean_study.sh", tmp_path / "scripts")
    for study, adapters in (("mini", 2), ("paper", 3)):
        for number in range(adapters):
            write(tmp_path / f"results/{study}/runs/t{number}/adapter_model.safetensors")
        write(tmp_path / f"results/{study}/partial/train/t9/checkpoint-2/adapter_model.safetensors")
        (tmp_path / f"results/{study}/link").symlink_to(tmp_path / "elsewhere")
    write(tmp_path / "results/worlds/mini/pool.json")
    write(tmp_path / "elsewhere/model.safetensors")
    return tmp_path


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 5000)


def make(folder: Path, *arguments: str, typed: str | None = None) -> tuple[int, str]:
    """Exit status and what was said; `typed` on a terminal, or no standard input at all."""
    terminal, given = pty.openpty() if typed is not None else (None, subprocess.DEVNULL)
    if typed is not None:
        os.write(terminal, typed.encode())
    command = ["make", "--no-print-directory", "clean-study", *arguments]
    done = subprocess.run(command, cwd=folder, env=PLAIN, stdin=given, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


def kept(folder: Path) -> bool:
    return all((folder / f"results/{study}/runs/t0").exists() for study in ("mini", "paper"))


def test_yes_deletes_the_study_and_nothing_that_is_shared_or_linked(checkout):
    status, said = make(checkout, typed="y\n")
    assert status == 0 and "results/mini: " in said and "2 adapters. What studies share, results/worlds, stays." in said
    assert "Delete it? [y/N]" in said and not (checkout / "results/mini").exists()
    for path in ("results/worlds/mini/pool.json", "results/paper/runs/t0", "elsewhere/model.safetensors"):
        assert (checkout / path).exists()


def test_another_study_is_named(checkout):
    status, said = make(checkout, "STUDY=paper", typed="y\n")
    assert status == 0 and "3 adapters" in said
    assert sorted(path.name for path in (checkout / "results").iterdir()) == ["mini", "worlds"]


@pytest.mark.parametrize("typed", ["n\n", "\n", "yes please\n", "Y\n", "\x04"])
def test_any_other_answer_keeps_it(checkout, typed):
    status, said = make(checkout, typed=typed)
    assert status == 0 and said.endswith("kept\n") and kept(checkout)


def test_without_a_terminal_nothing_is_deleted_unless_yes_is_given(checkout):
    status, said = make(checkout)
    assert status != 0 and "clean-study: nobody to ask here, so nothing is deleted; YES=1" in said and kept(checkout)
    piped = subprocess.run(
        ["make", "clean-study"], cwd=checkout, env=PLAIN, input="y\n", text=True, capture_output=True
    )
    assert piped.returncode != 0 and kept(checkout)
    assert make(checkout, "YES=1")[0] == 0 and not (checkout / "results/mini").exists()


@pytest.mark.parametrize(
    ("study", "line"),
    [
        ("papre", "clean-study: no results/papre here; studies with results: mini paper"),
        ("worlds", "clean-study: results/worlds is shared by studies and stays"),
        *[(name, f"clean-study: STUDY='{name}' is no name") for name in ("", "..", ".", "../mini", "mini/runs", "a b")],
        *[(name, f"clean-study: STUDY='{name}' is no name") for name in ("-rf", "mini;true", "*", "a..b", "'")],
    ],
)
def test_a_name_that_is_no_study_is_one_line(checkout, study, line):
    status, said = make(checkout, f"STUDY={study}", "YES=1")
    lines = [text for text in said.splitlines() if text and not text.startswith("make: ***")]
    assert status != 0 and len(lines) == 1 and lines[0].startswith(line) and kept(checkout)


def test_a_study_that_is_a_link_is_left_alone(checkout):
    (checkout / "results/paper").rename(checkout / "scratch")
    (checkout / "results/paper").symlink_to(checkout / "scratch")
    status, said = make(checkout, "STUDY=paper", "YES=1")
    assert status != 0 and "results/paper is a link to" in said and (checkout / "scratch/runs/t0").exists()


def test_nothing_is_deleted_under_a_running_workflow(checkout):
    write(checkout / ".snakemake/locks/0.input.lock")
    status, said = make(checkout, "YES=1")
    assert status != 0 and "a workflow runs here, or was killed" in said and kept(checkout)
