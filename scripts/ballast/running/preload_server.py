"""Import all libraries once and fork a child for each job on this machine; `preload.py` starts and asks this process.

Importing torch, transformers and peft takes longer than a tiny model's whole run. A forked child runs the same script
with the same arguments to the same bytes, without the wait. The process serves one Snakemake process and ends with it.
A job imports for itself if the process is absent (another node, another system), not ready yet, or older than the code
on disk.

Loading a judge's model takes longer still, so a judgement's child keeps the model (`keep_model.py`) and waits for the
next job of the same judge. A job of another model ends the waiting children, so that none holds memory in vain.
"""

import array
import ctypes
import gc
import importlib
import json
import marshal
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

SCRIPTS = Path(__file__).parents[2]
PR_SET_PDEATHSIG = 1
PATIENCE = 10  # seconds in which a client must have sent its job
MESSAGE = 2**26  # bytes of a job
sys.path.insert(0, str(SCRIPTS))

from ballast.running import endings  # noqa: E402
from ballast.running.preload import ADDRESS, OUTDATED, PACKAGE, SIZE, peer, send  # noqa: E402


def _receive(connection: socket.socket) -> tuple[dict, list[int]] | None:
    """Return a job and its standard streams; None if the other side hung up, or sent something else."""
    word, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(12))
    streams = list(array.array("i", ancillary[0][2])) if ancillary else []
    with connection.makefile("rb") as said:
        size = int.from_bytes(said.read(SIZE) if word else b"", sys.byteorder)
        job = said.read(min(size, MESSAGE))
    with suppress(ValueError, EOFError, TypeError):
        if 0 < size == len(job):
            return marshal.loads(job), streams
    _close(streams)
    return None


def _end_with_parent(number: int) -> None:
    """Have the kernel send this process a signal (0: none) when the one that started it ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _received(client: socket.socket) -> tuple[dict, list[int]] | None:
    """Return the job and the streams of a new client; None, and a line, if it is no job of this user's checkout."""
    if peer(client) != os.getuid():
        print("ballast: the preloaded process refused a job of another user", file=sys.stderr)
        return None
    client.settimeout(PATIENCE)
    received = None
    with suppress(OSError):
        received = _receive(client)
    client.settimeout(None)
    if received is None or _is_job(*received):
        return received
    _close(received[1])
    print("ballast: the preloaded process refused a message that is no job of this checkout", file=sys.stderr)
    return None


def _is_job(job, streams: list[int]) -> bool:
    """Return whether a message is a stage of this checkout with its arguments, environment and streams."""
    kinds = {"stage": str, "arguments": list, "directory": str, "environment": dict, "package": str}
    return (
        isinstance(job, dict)
        and job.keys() == {*kinds, "keeps"}
        and all(isinstance(job[name], kind) for name, kind in kinds.items())
        and all(isinstance(text, str) for text in (*job["arguments"], *job["environment"].values()))
        and job["stage"].isidentifier()
        and (SCRIPTS / f"{job['stage']}.py").is_file()
        and len(streams) == 3
    )


def _close(streams: list[int]) -> None:
    for stream in streams:
        os.close(stream)


@dataclass(eq=False)
class Child:
    """A process that runs a job of `client`, or waits for the next one (`client` is None).

    `keeps` identifies the jobs that it takes after its first, over `channel`; None for one that ends with its job.
    """

    pid: int
    pidfd: int
    client: socket.socket | None
    channel: socket.socket | None
    keeps: list | None

    @property
    def waits(self) -> bool:
        return self.channel is not None and self.client is None

    @property
    def sides(self) -> list[socket.socket]:
        return [side for side in (self.client, self.channel) if side]

    def signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:  # it has no group of its own yet
            os.kill(self.pid, number)


class Server:
    """Forks a child for each job, or passes the job to one with the right model, until standard input closes."""

    def __init__(self, address: str, code: dict[Path, int]):
        self.code = code
        self.events = selectors.DefaultSelector()
        self.children: list[Child] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(address)
        self.listener.listen(64)
        self.events.register(self.listener, selectors.EVENT_READ, self.accept)
        self.events.register(0, selectors.EVENT_READ, self.end)

    def serve(self) -> None:
        while True:
            for key, _ in self.events.select():
                key.data()

    def accept(self) -> None:
        client, _ = self.listener.accept()
        received = _received(client)
        if received is None:
            client.close()
            return
        job, streams = received
        if job["package"] != PACKAGE or written() != self.code:
            client.sendall(f"{OUTDATED}\n".encode())
            client.close()
            _close(streams)
            return
        child = self._waiting(job, streams) or self._fork(job, streams)
        _close(streams)
        child.client = client
        self.events.register(client, selectors.EVENT_READ, partial(self.hung_up, child))

    def _waiting(self, job: dict, streams: list[int]) -> Child | None:
        """Return a waiting child with the job's model, after sending it the job; None if there is none.

        First end children that keep another model, unless the job is a judgement that needs no model.
        """
        for child in [child for child in self.children if child.waits and job["keeps"] not in ("", child.keeps)]:
            child.signal(signal.SIGKILL)
            self.ended(child)
        for child in self.children:
            if job["keeps"] and child.waits and job["keeps"] == child.keeps:
                with suppress(OSError):  # it has just died
                    send(child.channel, job, streams)
                    return child
        return None

    def _fork(self, job: dict, streams: list[int]) -> Child:
        channel, end = socket.socketpair() if job["keeps"] else (None, None)
        pid = os.fork()
        if not pid:
            try:
                os.setsid()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                # The client sees the end of both: its job starts again once this child has saved and ended.
                _end_with_parent(signal.SIGTERM)
                self._leave(channel)
                _work(job, streams, end)
            finally:
                os._exit(1)
        child = Child(pid, os.pidfd_open(pid), None, channel, job["keeps"] or None)
        self.children.append(child)
        self.events.register(child.pidfd, selectors.EVENT_READ, partial(self.ended, child))
        if channel:
            end.close()
            self.events.register(channel, selectors.EVENT_READ, partial(self.done, child))
        return child

    def _leave(self, channel: socket.socket | None) -> None:
        """Close, in a child, all that is not its own, so that each side notices when the other is gone."""
        self.events.close()
        for other in (self.listener, channel, *(side for child in self.children for side in child.sides)):
            if other:
                other.close()
        _close([child.pidfd for child in self.children])

    def done(self, child: Child) -> None:
        """Pass on the job's status from a child that keeps its model and waits for the next job."""
        status = b""
        with suppress(OSError):
            status = child.channel.recv(16) if child.channel else b""
        if status:
            self._answer(child, int(status))
        else:
            self._part(child)

    def ended(self, child: Child) -> None:
        if child in self.children:
            self.children.remove(child)
            _, status = os.waitpid(child.pid, 0)
            self._answer(child, endings.status(os.waitstatus_to_exitcode(status)))
            self._forget(child.pidfd)
            os.close(child.pidfd)
            self._part(child)

    def hung_up(self, child: Child) -> None:
        """Stop a child whose client left before the job was done."""
        if child.client:
            self._forget(child.client)
            child.client.close()
            child.client = None
            self._part(child)
            child.signal(signal.SIGTERM)

    def end(self) -> None:
        """End all children and this process: standard input closed, so Snakemake is gone."""
        for child in self.children:
            child.signal(signal.SIGKILL if child.waits else signal.SIGTERM)
            self._answer(child, endings.status(-signal.SIGTERM))
        sys.exit()

    def _answer(self, child: Child, status: int) -> None:
        if child.client:
            self._forget(child.client)
            with suppress(OSError):
                child.client.sendall(f"{status}\n".encode())
            child.client.close()
            child.client = None

    def _part(self, child: Child) -> None:
        """Send this child no more jobs."""
        if child.channel:
            self._forget(child.channel)
            child.channel.close()
            child.channel = None

    def _forget(self, file: socket.socket | int) -> None:
        with suppress(KeyError):
            self.events.unregister(file)


def _work(job: dict, streams: list[int], channel: socket.socket | None) -> NoReturn:
    """Run a child's job and, if it keeps a model, those that follow, until nobody sends one."""
    given = dict(os.environ)
    try:
        while True:
            for name in given.keys() - job["environment"].keys():
                os.environ.pop(name, None)  # variables that a library has set stay
            given = job["environment"]
            status = _do(job, streams)
            if channel is None:
                os._exit(status)
            null = os.open(os.devnull, os.O_RDWR)
            _stand_in([null, os.dup(null), os.dup(null)])
            channel.sendall(f"{status}\n".encode())
            received = _receive(channel)
            if received is None:
                os._exit(0)
            job, streams = received
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def _do(job: dict, streams: list[int]) -> int:
    """Run a job's stage as if in a process of its own; flush its streams and return its status."""
    import torch

    from ballast.running.stage import run
    from ballast.running.threads import THREADS

    _stand_in(streams)
    os.chdir(job["directory"])
    os.environ.update(job["environment"])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", THREADS)))
    try:
        status = run(job["stage"], job["arguments"], forked=True, keeps_model=bool(job["keeps"]))
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    ctypes.CDLL(None).fflush(None)  # libraries in C buffer output of their own
    return status


def _stand_in(streams: list[int]) -> None:
    """Make these files the standard streams."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    _close(streams)


def _import_libraries() -> None:
    import pandas
    import pandera.pandas
    import peft  # noqa: F401
    import pyarrow.dataset
    import pyarrow.parquet  # noqa: F401
    import sentence_transformers  # noqa: F401
    import torch
    import transformers.models.deberta_v2.modeling_deberta_v2
    import transformers.models.llama.modeling_llama
    import transformers.models.mistral.modeling_mistral
    import transformers.models.qwen2.modeling_qwen2
    import transformers.trainer  # noqa: F401
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping

    # Both work on first use, which each child would repeat.
    pandera.pandas.DataFrameSchema().validate(pandas.DataFrame())
    get_checkpoint_conversion_mapping("llama")
    # A thread pool does not survive a fork; one thread needs no pool.
    torch.set_num_threads(1)


def _import_ballast() -> None:
    package = importlib.import_module("ballast")
    for module in pkgutil.walk_packages(package.__path__, "ballast."):
        importlib.import_module(module.name)
    from ballast import identity
    from ballast.running import libraries
    from ballast.running.inside_snakemake import PLANNED

    # Cache what every job would compute again; it recognises code that is edited now.
    with suppress(OSError, SyntaxError):
        for name in json.loads(os.environ.get(PLANNED, "{}")):
            identity.code_identity(*name.split(":"))
    libraries.versions()


def written() -> dict[Path, int]:
    """Return the time at which each file of the code was last written."""
    return {path: path.stat().st_mtime_ns for path in SCRIPTS.rglob("*.py")}


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Standard input is read only after the imports.
    _end_with_parent(signal.SIGTERM)
    try:
        code = written()
        _import_libraries()
        _import_ballast()
        # Else a child's garbage collector writes to, and so copies, every page of these modules.
        gc.collect()
        gc.freeze()
        _end_with_parent(0)
        Server(os.environ[ADDRESS], code).serve()
    finally:
        shutil.rmtree(os.path.dirname(os.environ[ADDRESS]), ignore_errors=True)
