"""Start the preloaded process (`preload_server.py`) from Snakemake, and run jobs in it.

Every job on this machine imports this file first, so it imports little.
"""

import marshal  # cheaper to import than json; both sides are the same Python
import os
import socket
import sys
import time

PACKAGE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))  # a process serves jobs of its own package
ADDRESS = "BALLAST_PRELOAD"  # environment: path of the process's socket
OUTDATED = "outdated"  # its reply in place of a status, if its code differs from the code on disk
SIZE = 8  # bytes of the length before a job
# Seconds that a job with a model to keep waits for the process to start.
PATIENCE = 120
# Prefixes of variables that affect how a model loads, or how its engine starts.
SHAPING = ("CUDA_", "MKL_", "OMP_", "PYTORCH_", "VLLM_")


def start() -> None:
    """Start the process and name its socket in the environment that local jobs inherit; start it again if killed."""
    import importlib.util

    # Without torch, as `make init` installs, jobs import little.
    if ADDRESS in os.environ or not hasattr(os, "pidfd_open") or not importlib.util.find_spec("torch"):
        return
    from ballast.running import watch

    watch.watch(_start)


def _start(folder: str):
    """Start the process with its socket in this folder, and return it."""
    import subprocess

    from ballast.running.threads import THREADS

    os.environ[ADDRESS] = os.path.join(folder, "socket")
    # Every step frees and takes large tensors: keep their memory, so that the kernel need not clear it each time.
    keep = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**30)}
    alone = {"OMP_NUM_THREADS": THREADS, "MKL_NUM_THREADS": THREADS, "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    # Its standard input is a pipe from this process, which closes however this process ends.
    return subprocess.Popen(
        [sys.executable, os.path.join(os.path.dirname(__file__), "preload_server.py")],
        stdin=subprocess.PIPE,
        env=os.environ | keep | alone,
        start_new_session=True,
    )


def run(stage: str, arguments: list[str], judge: str | None = None) -> int | None:
    """Run a stage in a child of the preloaded process; return its exit status, or None if no process has this code.

    `judge`: the options that a judge's loaded model depends on. The child keeps the model and takes the next job with
    the same options. It is empty for a judge without a model, None for any other job.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        if not _connect(connection, os.environ.get(ADDRESS, ""), PATIENCE if judge else 0):
            return None
        if peer(connection) != os.getuid():
            print("the preloaded process belongs to another user, so this job runs without it", file=sys.stderr)
            return None
        here = {"directory": os.getcwd(), "environment": dict(os.environ), "package": PACKAGE}
        shaping = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith(SHAPING)]
        keeps = judge and [os.getcwd(), judge, *shaping]
        # If this process is killed, the connection closes, and the server ends the child.
        try:
            send(connection, {"stage": stage, "arguments": arguments, "keeps": keeps} | here, [0, 1, 2])
            status = connection.makefile().readline()
        except ConnectionError:  # the server was killed with the job unread
            status = ""
    if status.strip() == OUTDATED:
        return None
    if not status:
        print(f"{stage}: the preloaded process ended before this job did; the job starts again", file=sys.stderr)
        return None
    return int(status)


def peer(connection: socket.socket) -> int:
    """Return the id of the user at the other end of a connection."""
    return int.from_bytes(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)[4:8], sys.byteorder)


def _connect(connection: socket.socket, address: str, patience: float) -> bool:
    """Connect to the process; return False if it is absent. Wait up to `patience` seconds while it imports."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.connect(address)
            return True
        except FileNotFoundError:
            # The folder exists from its start to its end, the socket only while it takes jobs.
            if time.monotonic() > deadline or not os.path.isdir(os.path.dirname(address)):
                return False
        except OSError:
            return False
        time.sleep(0.1)


def send(connection: socket.socket, job: dict, streams: list[int]) -> None:
    rights = b"".join(stream.to_bytes(4, sys.byteorder) for stream in streams)
    connection.sendmsg([b"job\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    said = marshal.dumps(job)
    connection.sendall(len(said).to_bytes(SIZE, sys.byteorder) + said)
