"""Tell how a process ended, where a signal ended it: a crash, a person, or the kernel short of memory."""

import signal
from contextlib import suppress
from pathlib import Path

# A shell reports a signal as this much above its number.
SHELL = 128
STOPPED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
AGAIN = "run again to continue"
LESS = "run fewer jobs at once (--cores 1) or take smaller batches, then run again: finished work is kept"


def oom_kills() -> int | None:
    """Return how many processes of this machine the out-of-memory killer ended since it started; None if unknown."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            name, _, number = line.partition(" ")
            if name == "oom_kill":
                return int(number)
    return None


def told(number: int, before: int | None) -> tuple[str, str]:
    """Return how a process ended that signal `number` ended, and what to do.

    `before`: `oom_kills` when the study began.
    """
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if number in STOPPED:
        return f"stopped ({name})", AGAIN
    if number != signal.SIGKILL:
        return f"ended by a crash in native code ({name})", AGAIN
    now = oom_kills()
    if before is None or now is None:
        return "killed (SIGKILL), most often by the kernel when memory runs out", LESS
    if now == before:
        return "killed (SIGKILL) by a person, a queue or a container, not by the kernel for memory", AGAIN
    kills = f"out-of-memory kills on this machine since the study began: {now - before}"
    return f"killed (SIGKILL): memory ran out ({kills})", LESS


def status(code: int) -> int:
    """Return the status that a shell gives a child's exit code, which is negative if a signal ended the child."""
    return SHELL - code if code < 0 else code
