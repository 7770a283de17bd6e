"""Save and load checkpoints: a stopped run continues, and gives the same bytes as a run that never stopped.

Each run has its own folder, outside the outputs of its rule. A checkpoint counts only if it is whole and of the same
configuration. `whole.json` is written last; it holds the digests of the checkpoint's files and the run's key, a digest
of each thing that the result depends on. All other checkpoints are deleted, never loaded.

`scripts/train.py` opens the folder (`unfinished`). A trainer built on transformers' Trainer gives it to `train`, with
any other state that it must keep between two steps (`Memory`).
"""

import fcntl
import hashlib
import importlib.metadata
import json
import math
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Protocol

import pandas as pd
import torch
from safetensors.torch import load_file, save_file
from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, SaveStrategy

from ballast.files import BallastError, digest, read_json, write_json
from ballast.identity import model_identity

MARKER = "whole.json"
ORDER = "epoch_rng.safetensors"
LOCK = "lock"
LIBRARIES = ("torch", "transformers", "peft", "accelerate")
# Signals that stop training: a cluster's preemption, time limit and early warning (--signal=USR1@120), Ctrl-C.
STATUS = {signal.SIGTERM: 143, signal.SIGUSR1: 143, signal.SIGINT: 130}


class Stopped(SystemExit):
    """Training got a signal, saved a checkpoint and stopped; `code` is the exit status."""


def key(model: str, rows: pd.DataFrame, options: dict, seed: int, code: str) -> dict[str, str]:
    """Return all that a run's result depends on, as digests or versions, under names that a message may state.

    `code` is the identity of the training code; a fetched model is identified by its `source.json`.
    """
    template = options.get("template")
    options = {name: value for name, value in options.items() if name != "template"}  # its content counts, not its path
    return {
        "model": model_identity(model),
        "rows": _sha256(rows.to_json(orient="split", index=False)),
        "seed": str(seed),
        "code": code,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        **({"the prompt template": digest(template)} if template else {}),
        **{f"option {name}": _sha256(json.dumps(value, sort_keys=True)) for name, value in options.items()},
        **{library: importlib.metadata.version(library) for library in LIBRARIES},
    }


@contextmanager
def unfinished(folder: str | Path, key: dict[str, str], minutes: float) -> Iterator["Partial"]:
    """Hold a run's folder of checkpoints; remove it if the block succeeds or leaves no checkpoint.

    `minutes` between checkpoints; 0 saves after every step. Waits while another process trains the same run: after a
    signal, it first finishes its step.
    """
    partial = Partial(Path(folder), key, minutes)
    lock = _lock(partial.folder)
    try:
        yield partial
        partial.clear()
    finally:
        if not partial.checkpoints():
            (partial.folder / LOCK).unlink(missing_ok=True)
            with suppress(OSError):  # another process waits for the lock, or a parent holds another run
                os.removedirs(partial.folder)
        os.close(lock)


@contextmanager
def scratch() -> Iterator["Partial"]:
    """Hold a folder for a run that nobody will continue: no timed checkpoints, and signals keep their usual effect."""
    with tempfile.TemporaryDirectory() as folder:
        yield Partial(Path(folder), {}, None)


class Partial:
    """The checkpoints of one unfinished run: `folder`/checkpoint-<step>, the last and, with validation, the best."""

    def __init__(self, folder: Path, key: dict[str, str], minutes: float | None):
        self.folder, self.key, self.minutes = folder, key, minutes

    def checkpoint(self, step: int) -> Path:
        return self.folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"

    def checkpoints(self) -> list[Path]:
        """Return the folders of checkpoints, whole or not."""
        return sorted(self.folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*"))

    def last(self) -> int | None:
        """Return the step of the last usable checkpoint; delete unusable ones, and print why."""
        steps = {}
        for folder in self.checkpoints():
            marker = _whole(folder)
            if marker is None:
                _say(f"{folder} is torn; deleted")
            elif marker["key"] != self.key:
                names = self.key | marker["key"]
                differing = [name for name in names if self.key.get(name) != marker["key"].get(name)]
                _say(f"{folder} is of another configuration ({', '.join(differing)}); deleted, nothing of it is used")
            else:
                steps[marker["step"]] = marker["best"]
        step = max((step for step, best in steps.items() if best is None or best in steps), default=None)
        self._keep(step, steps.get(step))
        return step

    def seal(self, step: int, best: int | None) -> None:
        """Declare the checkpoint of a step whole, then delete the earlier ones except the `best` step's."""
        folder = self.checkpoint(step)
        digests = {}
        for name, path in _files(folder).items():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
            digests[name] = digest(path)
        write_json(folder / MARKER, {"step": step, "best": best, "key": self.key, "files": digests})
        self._keep(step, best)

    def clear(self) -> None:
        """Delete every checkpoint."""
        self._keep()

    def _keep(self, *steps: int | None) -> None:
        kept = [self.checkpoint(step) for step in steps if step is not None]
        for folder in self.checkpoints():
            if folder not in kept:
                shutil.rmtree(folder)


class Memory(Protocol):
    """A trainer's state beyond weights, optimiser, schedule and random state."""

    def save(self, folder: Path) -> None:
        """Write it into a checkpoint's folder, under its own names; the checkpoint is sealed afterwards."""

    def load(self, folder: Path) -> None:
        """Read it back, before the first step of a run that continues."""


def train(trainer: Trainer, partial: Partial, memory: Memory | None = None) -> None:
    """Run a transformers Trainer to its end, from the last checkpoint if there is one.

    Its arguments must have `output_dir` = `partial.folder`, no `save_total_limit`, `save_only_model` off and
    `logging_steps` 1: a checkpoint does not hold a loss summed over steps. Raises Stopped on a signal of `STATUS`,
    after the step and its checkpoint; BallastError if a checkpoint cannot be written.
    """
    step = partial.last()
    callback = Checkpoints(partial, step, memory)
    trainer.add_callback(callback)
    if step is not None:
        _say(f"continues from step {step}, {partial.checkpoint(step)}")
    try:
        with _told_to_stop(callback.stop) if partial.minutes is not None else nullcontext():
            trainer.train(resume_from_checkpoint=None if step is None else str(partial.checkpoint(step)))
    except Exception as error:
        if not callback.saving or isinstance(error, BallastError):
            raise
        folder = partial.checkpoint(trainer.state.global_step)
        free = shutil.disk_usage(partial.folder).free / 2**20
        shutil.rmtree(folder, ignore_errors=True)
        raise BallastError(
            f"{folder}: could not be written, {free:.0f} MiB free ({(str(error).splitlines() or [error])[0]}); "
            "make room, and the same command continues from the checkpoint before"
        ) from error


class Checkpoints(TrainerCallback):
    """Ask transformers' Trainer for a checkpoint when one is due, seal it, and end training on a signal."""

    def __init__(self, partial: Partial, step: int | None, memory: Memory | None = None):
        self.partial, self.step, self.memory = partial, step, memory
        self.minutes = math.inf if partial.minutes is None else partial.minutes
        self.received: signal.Signals | None = None
        self.saving = False

    def stop(self, received: signal.Signals) -> None:
        self.received = received

    def on_train_begin(self, args, state, control, **_):
        self.saved_at = time.monotonic()
        if state.best_global_step:  # the state holds the folder's path at the time of saving
            state.best_model_checkpoint = str(self.partial.checkpoint(state.best_global_step))
        if self.memory and self.step is not None:
            self.memory.load(self.partial.checkpoint(self.step))

    def on_epoch_begin(self, args, state, control, **_):
        # Some samplers draw an epoch's order from torch's generator, so its state restores the order.
        if self.step == state.global_step:
            torch.set_rng_state(load_file(self.partial.checkpoint(self.step) / ORDER)["torch"])
        self.order = torch.get_rng_state()

    def on_step_end(self, args, state, control, **_):
        due = self.received or time.monotonic() - self.saved_at >= 60 * self.minutes
        # Trainer saves at the end of an epoch, after validation; after the last step little is left to do.
        if due and state.global_step < state.max_steps and not (_epoch_ends(state) and _saves_epochs(args)):
            control.should_save = self.saving = True

    def on_evaluate(self, args, state, control, **_):
        self.saving = _saves_epochs(args)

    def on_save(self, args, state, control, **_):
        order = torch.get_rng_state() if _epoch_ends(state) else self.order
        save_file({"torch": order}, self.partial.checkpoint(state.global_step) / ORDER)
        if self.memory:
            self.memory.save(self.partial.checkpoint(state.global_step))
        self.partial.seal(state.global_step, state.best_global_step)
        self.saving, self.saved_at = False, time.monotonic()
        if self.received and state.global_step < state.max_steps:
            _say(
                f"stopped by {self.received.name} at step {state.global_step} of {state.max_steps}; "
                "the same command continues"
            )
            raise Stopped(STATUS[self.received])


@contextmanager
def _told_to_stop(stop) -> Iterator[None]:
    """Call `stop(signal)` on the signals of `STATUS`, then restore their handlers. Main thread only."""

    def handle(number, _):
        stop(signal.Signals(number))
        if number == signal.SIGINT:  # a second Ctrl-C does not wait for the step
            signal.signal(number, before[number])

    before = {number: signal.signal(number, handle) for number in STATUS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _epoch_ends(state) -> bool:
    return float(state.epoch).is_integer()


def _saves_epochs(args) -> bool:
    return args.save_strategy == SaveStrategy.EPOCH


def _whole(folder: Path) -> dict | None:
    """Return a checkpoint's marker if its files are exactly the sealed ones, else None."""
    try:
        marker = read_json(folder / MARKER)
        found = {name: digest(path) for name, path in _files(folder).items()}
        return marker if marker["files"] == found else None
    except (BallastError, KeyError, TypeError):
        return None


def _files(folder: Path) -> dict[str, Path]:
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files.pop(MARKER, None)
    return files


def _lock(folder: Path) -> int:
    """Open a lock file; this process alone holds it until it closes it or ends."""
    path = folder / LOCK
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # another run ended and removed an empty parent
            continue
        except OSError as error:
            raise BallastError(f"{path}: could not be written ({error.strerror})") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waits for another process that trains this run and holds {path}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            return handle
        with suppress(FileNotFoundError):  # its holder removed it, so this lock protects nothing
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _say(line: str) -> None:
    print(f"train: {line}", file=sys.stderr, flush=True)
