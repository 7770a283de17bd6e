"""A preloaded process beside a test, as Snakemake starts it."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
STAGE = [sys.executable, str(SCRIPTS / "stage.py")]
# The environment of a job without such a process.
ALONE = {name: value for name, value in os.environ.items() if name != "BALLAST_PRELOAD"}


@contextmanager
def starting(scripts: Path = SCRIPTS, stderr=None) -> Iterator[tuple[dict[str, str], subprocess.Popen]]:
    """The environment of a job beside a process that still imports its libraries, and that process's parent."""
    start = (
        f"import sys, os; sys.path.insert(0, {str(scripts)!r}); from ballast.running import preload;"
        "preload.start(); print(os.environ[preload.ADDRESS], flush=True); sys.stdin.read()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", start],
        env=ALONE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    address = parent.stdout.readline().strip()
    yield ALONE | {"BALLAST_PRELOAD": address}, parent
    parent.kill()
    parent.wait()
    wait_until(lambda: not os.path.exists(address), 10)


@contextmanager
def preloaded(scripts: Path = SCRIPTS) -> Iterator[dict[str, str]]:
    """The environment of a job beside a process that is ready."""
    with starting(scripts) as (environment, _):
        wait_until(lambda: os.path.exists(environment["BALLAST_PRELOAD"]), 120)
        yield environment


def wait_until(holds: Callable[[], object], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
