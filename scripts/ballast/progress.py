"""Say in a job's log how much it has done and how long it still takes.

No result depends on it, so an edit of this file re-runs nothing (`reach.py`).
"""

import re
import sys
import time

EVERY = 20  # seconds between two lines
LINE = re.compile(r"^progress: (.*)$", re.MULTILINE)


class Progress:
    """Count work that is done, and print a line now and then: `progress: 96 of 178 prompts, 0:42 left`.

    `total`: all that this process will do; `unit`: its plural. Short work prints nothing.
    """

    def __init__(self, total: int, unit: str):
        self.total, self.unit, self.done = total, unit, 0
        self.began = self.said = time.monotonic()

    def add(self, count: int = 1) -> None:
        self.done += count
        now = time.monotonic()
        if now - self.said < EVERY or self.done >= self.total:
            return
        self.said, left = now, (now - self.began) * (self.total - self.done) / self.done
        print(f"progress: {self.done} of {self.total} {self.unit}, {clock(left)} left", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds: 0:42, 12:05, 3:00:10."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def read(log: str) -> str | None:
    """Return the last progress in the text of a log."""
    found = LINE.findall(log)
    return found[-1] if found else None
