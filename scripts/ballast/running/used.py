"""Write and read the last line of a job's log: what the job used."""

import math
import re
from dataclasses import dataclass
from pathlib import Path

LINE = re.compile(
    r"^\w+: ([\d.]+) \+ ([\d.]+) CPU seconds \(user \+ system\), (\d+) MiB at most(?:, ([\d.]+) s elapsed)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Used:
    """CPU seconds (user and system), the most memory in MiB, and elapsed seconds (NaN in logs of older versions)."""

    seconds: float
    mebibytes: int
    elapsed: float = math.nan


def line(stage: str, user: float, system: float, mebibytes: float, elapsed: float) -> str:
    """Return the line for a log."""
    used = f"{user:.2f} + {system:.2f} CPU seconds (user + system), {mebibytes:.0f} MiB at most"
    return f"{stage}: {used}, {elapsed:.2f} s elapsed"


def read(log: str | Path) -> Used | None:
    """Return what the last job that wrote a log used; None if there is no log or it has no such line."""
    path = Path(log)
    found = LINE.findall(path.read_text(errors="replace")) if path.is_file() else []
    if not found:
        return None
    user, system, mebibytes, elapsed = found[-1]
    return Used(float(user) + float(system), int(mebibytes), float(elapsed or math.nan))
