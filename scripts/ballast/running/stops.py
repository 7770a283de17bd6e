"""Stop a study at a closed terminal or a second Ctrl-C: end all its processes, and say so in one line."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress

# Set once jobs may run, and once the study stops: from then on nothing starts again.
started, stopping = threading.Event(), threading.Event()


def handle() -> None:
    """Handle SIGHUP and SIGINT in this process, except where its parent had them ignored (`nohup`)."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)
    signal.signal(signal.SIGURG, lambda *_: None)
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    threading.Thread(target=_wake, args=(read,), daemon=True).start()


def _wake(signals: int) -> None:
    """Wake the main thread after each signal: if one comes as it falls asleep, Python handles it only when it wakes."""
    while number := os.read(signals, 1):
        for _ in range(10 if number[0] != signal.SIGURG else 0):
            time.sleep(0.1)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGURG)


def end_jobs(number: int) -> None:
    """Send a signal to every process below this one."""
    import psutil

    stopping.set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _stop(number: int, _frame) -> None:
    """End the jobs; Snakemake then ends by itself, as after the first Ctrl-C. While it plans, it has none."""
    again = stopping.is_set()
    if not started.is_set():
        if not again:
            _say("stopped before the first job")
        stopping.set()
        raise SystemExit(130)
    stopping.set()
    if number == signal.SIGHUP:
        _say("the terminal closed (SIGHUP): running jobs save and stop; run again to continue")
        end_jobs(signal.SIGTERM)
    elif again:
        _say("Ctrl-C again: running jobs are killed; run again to continue")
        end_jobs(signal.SIGKILL)
    # A second exception would leave Snakemake's own end halfway.
    if not again:
        raise KeyboardInterrupt


def _say(line: str) -> None:
    """Write a line to standard error; if its terminal is gone, discard all later output, which would fail."""
    try:
        os.write(2, f"ballast: {line}\n".encode())
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(null, stream.fileno())
