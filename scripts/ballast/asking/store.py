"""Keep each answer of a model at once: no text is asked twice, and a killed job resumes where it stopped.

A store is a folder with one folder per question; a question is all that an answer depends on apart from its text.
Each writing process appends to a file of its own, so writers need no lock, not even on NFS. Deleting a store is
always safe.
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

# Files of answers that this process began, for a job that takes them back (`running/same_code.py`).
begun: list[Path] = []


class Store:
    """JSON values by text, for one question; without a folder, in memory only.

    A text and a question are anything that JSON can hold: a string, a pair, a list of token ids. The folder is read
    once, at the start. A torn or changed line is dropped, counted on stderr, and asked again. If a text has two values,
    the first written wins. Raises BallastError if the folder cannot be read or written.
    """

    def __init__(self, folder: str | Path | None, *question: object):
        self._question, self._lock, self._values = _sha256(question), threading.Lock(), {}
        self._folder = None if folder is None else Path(folder) / self._question[:16]
        self._file: Path | None = None
        if self._folder is not None:
            self._read()

    def get(self, text: object) -> object | None:
        """Return the value of a text; None if there is none."""
        return self._values.get(self._key(text))

    def add(self, values: Iterable[tuple[object, object]]) -> None:
        """Keep the values of some texts; they are on disk when this returns. Thread-safe."""
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
            # The name begins with the time, so that the first written is the first read.
            name = f"{time.time_ns():020d}-{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}.jsonl"
            self._file = self._folder / name
            begun.append(self._file)
        # After a failure the file may end in half a line, which would swallow the next one: start another file.
        path, self._file = self._file, None
        with writing(path):
            self._folder.mkdir(parents=True, exist_ok=True)
            # Opened again each time: NFS shows a file's content to other machines once it is closed.
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
        """Take over the value of a line; return False if the line is torn or changed."""
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
