"""What a person needs when a job has failed: how its log ends, and the command that runs it alone."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

# A failing study mostly fails for one reason.
JOBS, LINES = 5, 5


@dataclass(frozen=True)
class Failure:
    """A job that failed: its rule, what to ask Snakemake for, and the log of its rule."""

    rule: str
    target: str
    log: str


def report(failures: Iterable[Failure], command: str) -> Iterator[str]:
    """Lines for the first JOBS failures; `command` is how this study is run, without a target."""
    failures = sorted(failures, key=lambda failure: failure.target)
    program, *arguments = shlex.split(command)
    for failure in failures[:JOBS]:
        yield f"ballast: {failure.rule} failed; {failure.log} ends:"
        yield from (f"    {line}" for line in _last_lines(Path(failure.log)))
        yield f"  alone: {shlex.join([program, failure.target, *arguments])}"
    if len(failures) > JOBS:
        yield f"ballast: {len(failures) - JOBS} more jobs failed"


def _last_lines(log: Path) -> list[str]:
    """What the log ends with; a job that was killed, or never began, may have none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = [line for line in lines if line.strip()][-LINES:]
    return said or ["(nothing: it was killed or never began; what is said of it above may tell why)"]
