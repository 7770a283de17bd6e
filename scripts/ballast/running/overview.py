"""Show how far a study is: one line per stage, and one for each job that runs and tells its progress."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tabulate import tabulate

from ballast import progress

DONE, RUNNING, LEFT = STATES = "done", "running", "left"
TAIL = 4096  # bytes at a log's end that hold its last line


def table(jobs: Iterable[tuple[str, str]], stages: list[str]) -> str:
    """Return a table of the jobs, `(stage, state)` each; `stages` is their order."""
    counts = Counter(jobs)
    rows = [(stage, *(counts[stage, state] for state in STATES)) for stage in stages]
    rows = [row for row in rows if any(row[1:])]
    total = ("total", *(sum(row[column] for row in rows) for column in (1, 2, 3)))
    return tabulate([*rows, total], ["stage", *STATES], tablefmt="simple")


def running(jobs: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Yield a line for each job whose log ends in its progress; a job is `(its target, its log)`."""
    for target, log in sorted(jobs):
        if said := progress.read(_tail(Path(log))):
            yield f"{target}: {said}"


def _tail(log: Path) -> str:
    """Return the end of a log; empty if there is none yet."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
