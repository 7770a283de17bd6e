"""Watch the preloaded process from Snakemake: start it again where it was killed, and leave no folder of it."""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress

from ballast import limits
from ballast.running import endings, stops

# Folders of this prefix are locked by a living Snakemake, or nobody's.
PREFIX = "ballast-run-"
# A process that is killed this often will be killed again.
STARTS = 3


def watch(start: Callable[[str], subprocess.Popen]) -> None:
    """Start a process in a new folder, and watch it in a thread; `start` gets the folder."""
    _sweep()
    before, folder = endings.oom_kills(), _folder()
    threading.Thread(target=_keep, args=(start, start(folder), folder, before), daemon=True).start()


def _keep(start: Callable[[str], subprocess.Popen], process: subprocess.Popen, folder: str, before: int | None) -> None:
    """Remove the folder of each process that ends, so that no job waits for it; start another if it was killed."""
    for left in reversed(range(STARTS)):
        status = endings.status(process.wait())
        shutil.rmtree(folder, ignore_errors=True)
        if stops.stopping.is_set() or not status:
            return
        number = status - endings.SHELL
        again = number > 0 and left
        how = f"was {endings.told(number, before)[0]}" if number > 0 else f"failed with status {status}"
        then = "it starts again" if again else "each job imports for itself, which takes longer"
        print(f"ballast: the preloaded process {how}; {then}", file=sys.stderr)
        if not again:
            return
        folder = _folder()
        process = start(folder)


def _folder() -> str:
    """Return a new folder, locked while this process lives."""
    while True:
        folder = tempfile.mkdtemp(prefix=PREFIX, dir=_place())
        with suppress(OSError):  # not every file system has locks; then the folder is only never swept
            fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.isdir(folder):
            return folder


def _place() -> str:
    """Return the temporary directory, or a shorter one where a socket in it would have too long a path."""
    place = tempfile.gettempdir()
    return place if len(os.fsencode(f"{place}/{PREFIX}12345678/socket")) <= limits.SOCKET else "/tmp"


def _sweep() -> None:
    """Remove the folders of processes that were killed at one moment with their Snakemake."""
    for folder in glob.glob(os.path.join(glob.escape(_place()), f"{PREFIX}*")):
        with suppress(OSError):  # another person's, or one that is alive
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
