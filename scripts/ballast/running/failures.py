"""Report a failed job: the end of its log, and the command that runs it alone."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ballast.running import used

# Most studies fail for one reason, so a few jobs and lines are enough.
JOBS, LINES = 5, 5
# The last line of the log of a job that failed and that Snakemake shall take for done.
FAILED = "failed"


@dataclass(frozen=True)
class Failure:
    """A failed job: its rule, its target for Snakemake, and its log."""

    rule: str
    target: str
    log: str


def report(failures: Iterable[Failure], command: str) -> Iterator[str]:
    """Yield lines for the first JOBS failures; `command` runs this study, without a target."""
    failures = sorted(failures, key=lambda failure: failure.target)
    program, *arguments = shlex.split(command)
    for failure in failures[:JOBS]:
        yield f"ballast: {failure.rule} failed; {failure.log} ends:"
        yield from (f"    {line}" for line in _last_lines(Path(failure.log)))
        yield f"  alone: {shlex.join([program, failure.target, *arguments])}"
    if len(failures) > JOBS:
        yield f"ballast: {len(failures) - JOBS} more jobs failed"


def told(log: Path) -> str | None:
    """Return the error in a log that ends in FAILED; None if the job did not fail."""
    *said, last = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or [""]
    if last != FAILED:
        return None
    return next((line for line in reversed(said) if not used.LINE.match(line)), f"failed; see {log}")


def _last_lines(log: Path) -> list[str]:
    """Return the log's last lines; a job that was killed, or never began, may have none."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    said = [line for line in lines if line.strip()][-LINES:]
    return said or ["(nothing: it was killed or never began; Snakemake's lines above may tell why)"]
