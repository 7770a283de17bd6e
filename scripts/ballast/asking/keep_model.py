"""Keep a loaded model for the next job of the same judge.

Loading a model takes longer than many judgements. A process that runs one job after the other (`preload_server.py`)
calls `begin`, and then keeps the model that it used last. Any other process frees a model after its work. At most one
model is kept: its memory is freed before another loads.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path


class Kept:
    """The model of a process that keeps one, with its key."""

    def __init__(self):
        self._key, self._model, self._loaded = None, None, ExitStack()

    def take(self, folder: str, shape: object, load: Callable[[], AbstractContextManager]) -> object:
        key = (folder, _files(folder), shape)
        if self._key == key:
            print(f"{folder}: kept from the job before", file=sys.stderr)
            return self._model
        self.drop()
        self._model, self._key = self._loaded.enter_context(load()), key
        print(f"{folder}: loaded, and kept for the next job", file=sys.stderr)
        return self._model

    def drop(self) -> None:
        self._key = self._model = None
        self._loaded.close()
        gc.collect()


_kept: Kept | None = None


def begin() -> None:
    """Make this process keep the model that it used last."""
    global _kept
    _kept = _kept or Kept()


@contextmanager
def model(folder: str, shape: object, load: Callable[[], AbstractContextManager]) -> Iterator:
    """Yield the model of a folder: a kept one, or one from `load`, whose exit frees its memory.

    `shape` is all that the model depends on apart from its files. After an error in the block nothing is kept.
    """
    if _kept is None:
        with load() as loaded:
            yield loaded
        return
    try:
        yield _kept.take(folder, shape, load)
    except BaseException:
        _kept.drop()
        raise


def _files(folder: str) -> list[tuple]:
    """Return a folder's files with inode, size and time stamp; if any differs, it is another model."""
    found = [(path.name, path.stat()) for path in sorted(Path(folder).iterdir())]
    return [(name, state.st_ino, state.st_size, state.st_mtime_ns) for name, state in found]
