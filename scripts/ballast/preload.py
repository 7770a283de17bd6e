"""A preloaded process from which the jobs of this machine fork.

Importing torch, transformers and peft takes longer than a tiny model's whole run, so one process imports them once, and
all of Ballast, and forks a child for each job: same script, same arguments, same bytes, without the wait. It serves one
Snakemake process and ends with it. Where it is absent (another node, another system), not ready yet, or of other code
than is on disk by now, a job imports for itself.
"""

import array
import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

ADDRESS = "BALLAST_PRELOAD"  # environment: path of the process's socket
SCRIPTS = Path(__file__).parents[1]
OUTDATED = "outdated"  # said instead of a status


def start() -> None:
    """Start the process and name its socket in the environment that local jobs inherit."""
    if ADDRESS in os.environ or not hasattr(os, "pidfd_open"):
        return
    os.environ[ADDRESS] = os.path.join(tempfile.mkdtemp(prefix="ballast-"), "socket")
    # Large tensors come and go at every step: keeping their memory saves the kernel from clearing it anew each time.
    keep = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
    alone = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    # Its standard input is a pipe from this process: when this one ends, however it ends, the pipe closes.
    subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, env=os.environ | keep | alone, start_new_session=True
    )


def run(script: Path, arguments: list[str]) -> int | None:
    """Run a script in a fork of the preloaded process; its exit status, or None where there is no such process yet."""
    address = os.environ.get(ADDRESS)
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(address or "")
        except OSError:
            return None
        job = {"script": str(script), "arguments": arguments, "directory": os.getcwd(), "environment": dict(os.environ)}
        streams = array.array("i", [0, 1, 2]).tobytes()
        connection.sendmsg([b"job\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        connection.sendall(json.dumps(job).encode() + b"\n")
        # If this process is killed the connection closes, and the child is ended with it.
        status = connection.makefile().readline()
    if status.strip() == OUTDATED:
        return None
    return int(status) if status else 1


def serve(address: str) -> None:
    """Import the libraries and Ballast, then fork a child for every connection until standard input closes."""
    _import_libraries()
    code = _code()
    _import_ballast()
    # A child's garbage collector would otherwise write to, and so copy, every page of all these modules.
    gc.collect()
    gc.freeze()
    events = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    events.register(listener, selectors.EVENT_READ)
    events.register(0, selectors.EVENT_READ)
    children: dict[int, tuple[int, socket.socket]] = {}  # pidfd -> pid, connection
    while True:
        for key, _ in events.select():
            if key.fileobj == 0:
                for pid, _ in children.values():
                    os.killpg(pid, signal.SIGTERM)
                return
            if key.fileobj is listener:
                connection, _ = listener.accept()
                job, streams = _received(connection)
                if _code() == code:
                    pid, pidfd = _fork(job, streams, listener)
                    children[pidfd] = pid, connection
                    events.register(pidfd, selectors.EVENT_READ)
                    events.register(connection, selectors.EVENT_READ, pidfd)
                else:
                    connection.sendall(f"{OUTDATED}\n".encode())
                    connection.close()
                for stream in streams:
                    os.close(stream)
            elif key.data is not None:  # a client hung up before its child was done
                events.unregister(key.fileobj)
                if key.data in children:
                    os.killpg(children[key.data][0], signal.SIGTERM)
            else:
                pid, connection = children.pop(key.fd)
                _, status = os.waitpid(pid, 0)
                events.unregister(key.fd)
                os.close(key.fd)
                if connection in (entry.fileobj for entry in events.get_map().values()):
                    events.unregister(connection)
                    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
                connection.close()


def _received(connection: socket.socket) -> tuple[dict, list[int]]:
    """A job and its standard streams."""
    _, ancillary, _, _ = connection.recvmsg(4, socket.CMSG_SPACE(12))
    return json.loads(connection.makefile().readline()), array.array("i", ancillary[0][2]).tolist()


def _fork(job: dict, streams: list[int], listener: socket.socket) -> tuple[int, int]:
    pid = os.fork()
    if pid:
        return pid, os.pidfd_open(pid)
    try:
        os.setsid()
        listener.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(job["directory"])
        os.environ.clear()
        os.environ.update(job["environment"])
        _run_script(Path(job["script"]), job["arguments"])
        status = 0
    except SystemExit as ending:
        status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run_script(script: Path, arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    sys.path.insert(0, str(script.parent))
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")


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

    # Both put work off until they are first used, and each child would do it again.
    pandera.pandas.DataFrameSchema().validate(pandas.DataFrame())
    get_checkpoint_conversion_mapping("llama")
    # A thread pool does not survive a fork; one thread needs no pool.
    torch.set_num_threads(1)


def _code() -> dict[Path, int]:
    """When each file of the code was last written."""
    return {path: path.stat().st_mtime_ns for path in SCRIPTS.rglob("*.py")}


def _import_ballast() -> None:
    sys.path.insert(0, str(SCRIPTS))
    package = importlib.import_module("ballast")
    for module in pkgutil.walk_packages(package.__path__, "ballast."):
        importlib.import_module(module.name)
    from ballast import identity, manifest

    # What every judge's job, and every job, would find out again.
    identity.code_identity("ballast/backends/transformers")
    manifest.versions()


if __name__ == "__main__":
    try:
        serve(os.environ[ADDRESS])
    finally:
        Path(os.environ[ADDRESS]).unlink(missing_ok=True)
        os.rmdir(os.path.dirname(os.environ[ADDRESS]))
