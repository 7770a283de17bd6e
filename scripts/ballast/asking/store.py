"""What a model said, kept as soon as it is there: no text is asked twice, and a killed job goes on where it was.

A store is a folder with a folder for each question, that is for all that an answer depends on beside its text. In it,
every process that writes has a file of its own, to which it only appends: writers need no lock, on NFS neither.
Deleting a store is always safe.
"""

import hashlib
import json
import os
import secrets
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from ballast.files import BallastError, writing


class Store:
    """JSON values by text, for one question; without a folder, in memory only.

    A text and a question are anything that JSON writes: a string, a pair, a list of token ids. Read once, at the
    start. A line that is torn or changed is dropped, counted on stderr, and so asked again; of two values for a text
    the first written wins. Raises BallastError where the folder cannot be read or written.
    """

    def __init__(self, folder: str | Path | None, *question: object):
        self._question, self._lock, self._values = _sha256(question), threading.Lock(), {}
        self._folder = None if folder is None else Path(folder) / self._question[:16]
        self._file: Path | None = None
        if self._folder is not None:
            self._read()

    def get(self, text: object) -> object | None:
        """The value of a text; None where there is none."""
        return self._values.get(self._key(text))

    def add(self, values: Iterable[tuple[object, object]]) -> None:
        """Keep the values of some texts; they are on disk when this returns. Threads may call it."""
        new = {self._key(text): value for text, value in values}
        lines = [{"check": _check(key, value), "key": key, "value": value} for key, value in new.items()]
        with self._lock:
            for key, value in new.items():
                self._values.setdefault(key, value)
            if self._folder is not None and lines:
                self._append("".join(json.dumps(line) + "\n" for line in lines).encode())

    def _key(self, text: object) -> str:
        return _sha256([self._question, text])

    def _append(self, lines: bytes) -> None:
        if self._file is None:
            # By the time of its start, so that the first written is the first read.
            name = f"{time.time_ns():020d}-{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
            self._file = self._folder / name
        # Where this fails the file may end in half a line, which would swallow the next one: that goes elsewhere.
        path, self._file = self._file, None
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Opened anew each time: NFS shows other machines a file's content once it is closed.
            with open(path, "ab") as file:
                file.write(lines)
                file.flush()
                os.fsync(file.fileno())
        self._file = path

    def _read(self) -> None:
        dropped = 0
        try:
            for path in sorted(self._folder.glob("*.jsonl")):
                for line in path.read_bytes().split(b"\n"):
                    if line and not self._take(line):
                        dropped += 1
        except OSError as error:
            raise BallastError(f"{self._folder}: could not be read ({error.strerror})") from None
        if dropped:
            print(f"{self._folder}: {dropped} torn or changed lines dropped; what they held is new", file=sys.stderr)

    def _take(self, line: bytes) -> bool:
        """Whether a line is as it was written; its value is then known."""
        try:
            row = json.loads(line)
            key, value = row["key"], row["value"]
            if row["check"] != _check(key, value):
                return False
        except (ValueError, TypeError, KeyError, RecursionError):
            return False
        self._values.setdefault(key, value)
        return True


def _check(key: str, value: object) -> str:
    return _sha256([key, value])[:16]


def _sha256(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
