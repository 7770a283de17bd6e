"""Write and read the last line of a job's log: what the job used."""

import re
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(r"^\w+: ([\d.]+) \+ ([\d.]+) CPU seconds \(user \+ system\), (\d+) MiB at most$", re.MULTILINE)


@dataclass(frozen=True)
class Used:
    """CPU seconds (user and system) and the most memory in MiB."""

    seconds: float
    mebibytes: int


def line(stage: str, user: float, system: float, mebibytes: float) -> str:
    """Return the line for a log."""
    return f"{stage}: {user:.2f} + {system:.2f} CPU seconds (user + system), {mebibytes:.0f} MiB at most"


def read(log: str | Path) -> Used | None:
    """Return what the last job that wrote a log used; None if there is no log or it has no such line."""
    path = Path(log)
    found = LINE.findall(path.read_text(errors="replace")) if path.is_file() else []
    return Used(float(found[-1][0]) + float(found[-1][1]), int(found[-1][2])) if found else None
