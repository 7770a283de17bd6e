"""Keep what reading the source of modules found, in the user's cache folder, as Python keeps compiled modules.

A file is named by all that its content depends on, so none is ever out of date. A cache that cannot be read or written
costs time alone.
"""

import hashlib
import json
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

import platformdirs

from ballast.files import BallastError, write_json

# A process that writes files removes those that are older: edits leave many.
DAYS = 30


def key(*parts: object) -> str:
    """Return the name of what some parts gave under this code and this Python."""
    return hashlib.sha256(repr((_rules(), sys.version_info[:2], *parts)).encode()).hexdigest()


def read(key: str) -> dict | None:
    """Return what was kept, or None."""
    try:
        return json.loads((_folder() / key).read_bytes())
    except (OSError, ValueError):
        return None


def write(key: str, value: dict) -> None:
    """Keep a value, whole or not at all."""
    _tidy()
    with suppress(BallastError):
        write_json(_folder() / key, value)


@cache
def _rules() -> str:
    """Return a digest of the code that reads modules."""
    read = [Path(__file__).with_name(name).read_bytes() for name in ("reach.py", "syntax.py")]
    return hashlib.sha256(b"".join(read)).hexdigest()


def _folder() -> Path:
    return Path(platformdirs.user_cache_dir("ballast-safety")) / "modules"


@cache
def _tidy() -> None:
    """Once a process: remove old files."""
    with suppress(OSError):
        for file in _folder().iterdir():
            if time.time() - file.stat().st_mtime > DAYS * 86400:
                file.unlink()
