"""Snakemake and a stage on odd machines: locales, limits, no home, no shared memory, odd places of a clone."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers.edits import SNAKEMAKE, checkout, with_world
from helpers.tiny_study import CONFIG, digests

pytestmark = pytest.mark.faults
ROWS = "results/tiny/data/benchmarks/i-alpaca.parquet"
PRIVATE = ["unshare", "--mount", "--map-root-user", "sh", "-euc"]
# Five folders of 41 characters.
LONG = "/".join(["a-folder-whose-name-is-forty-one-letters-"] * 5)
QUOTED = """a "clone" of 'Łódź', $(touch ran) & 研究\tтест"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    return with_world(checkout(tmp_path_factory.mktemp("odd") / "clone"))


def run(folder: Path, *arguments, before=(), env: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    usual = {name: value for name, value in os.environ.items() if name not in ("BALLAST_PRELOAD", "LANG")}
    command = [*before, SNAKEMAKE, ROWS, "--cores", "1", "--configfile", CONFIG, *arguments]
    env = usual | {"OMP_NUM_THREADS": "1"} | (env or {})
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, errors="replace", timeout=300)


def made(folder: Path, done: subprocess.CompletedProcess) -> dict[str, str]:
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-3000:]
    assert "Traceback" not in said and "Warning" not in said
    return digests(folder / "results")


@pytest.fixture(scope="module")
def usual(clone, tmp_path_factory) -> dict[str, str]:
    """Digests of what an ordinary machine makes."""
    folder = shutil.copytree(clone, tmp_path_factory.mktemp("usual") / "clone", symlinks=True)
    return made(folder, run(folder))


@pytest.fixture
def private():
    if not shutil.which("unshare") or subprocess.run([*PRIVATE, "true"], capture_output=True).returncode:
        pytest.skip("a process with mounts of its own cannot be started here (unshare --mount)")


@pytest.fixture
def copy(clone, tmp_path):
    """Return a function that copies the clone to a place below the test's folder."""
    return lambda place="clone": shutil.copytree(clone, tmp_path / place, symlinks=True)


def test_nothing_in_the_environment(copy, usual):
    folder = copy()
    assert made(folder, run(folder, before=["env", "-i"])) == usual


def test_a_plain_c_locale_no_home_and_a_private_umask(copy, usual, tmp_path):
    folder = copy()
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    # As docs/reliability.md says: Snakemake 9.27 itself needs a place for its cache.
    env |= {"HOME": "/proc/nowhere", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert made(folder, run(folder, before=["bash", "-c", 'umask 077; exec "$@"', "bash"], env=env)) == usual


def test_a_turkish_locale_of_single_bytes_and_no_shared_memory(copy, usual, private, tmp_path):
    built = ["localedef", "-i", "tr_TR", "-f", "ISO-8859-9", tmp_path / "tr_TR"]
    if not shutil.which("localedef") or subprocess.run(built, capture_output=True).returncode:
        pytest.skip("a Turkish locale cannot be made here (localedef)")
    folder = copy()
    before = [*PRIVATE, 'mount -t tmpfs -o ro none /dev/shm; exec "$@"', "sh"]
    env = {"LC_ALL": "tr_TR", "LOCPATH": str(tmp_path), "PYTHONUTF8": "0"}
    assert made(folder, run(folder, before=before, env=env)) == usual


def test_few_open_files(copy, usual):
    folder = copy()
    assert made(folder, run(folder, before=["bash", "-c", 'ulimit -n 64; exec "$@"', "bash"])) == usual


def test_a_path_with_spaces_quotes_and_other_scripts(copy, usual):
    folder = copy(QUOTED)
    assert made(folder, run(folder)) == usual and not list(folder.rglob("ran"))


def test_a_path_with_braces_is_refused_in_one_line(copy):
    folder = copy("{n}")
    done = run(folder)
    line = f"ballast: {folder}: Snakemake reads {{ }} in a path as wildcards; rename this folder"
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, line) and "Traceback" not in done.stderr


def test_a_symlinked_clone_at_a_path_of_two_hundred_characters(copy, usual, tmp_path):
    real = copy(LONG)
    (tmp_path / "link").symlink_to(real)
    done = run(tmp_path / "link", env={"PWD": str(tmp_path / "link")})
    assert made(real, done) == usual


def test_a_clone_that_cannot_be_written(copy, clone, usual, private, tmp_path):
    folder = copy("work")
    for name in ("scripts", "workflow", "Snakefile"):
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
    lock = 'mount --bind "$0" "$0"; mount -o remount,ro,bind "$0"; ! touch "$0/new" 2> /dev/null; exec "$@"'
    done = run(folder, "--snakefile", clone / "Snakefile", "--directory", folder, before=[*PRIVATE, lock, clone])
    assert made(folder, done) == usual
