"""Run Snakemake in a fork of a process that has imported it: imports take longer than planning a small study.

The fork runs Snakemake's own `main` with its own folder, environment and output. Nothing of Ballast is imported before
the fork, so each run reads the checkout as it is. Tests that send signals, set hash seeds or change the program start a
process of their own.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path


def run(folder: Path, *arguments, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run `snakemake <arguments>` in a folder; return its exit status and what it printed."""
    with tempfile.TemporaryDirectory() as said:
        out, err = Path(said, "out"), Path(said, "err")
        call = {"folder": str(folder), "arguments": list(map(str, arguments)), "out": str(out), "err": str(err)}
        call["environment"] = dict(os.environ) if environment is None else environment
        server = _server()
        print(json.dumps(call), file=server.stdin, flush=True)
        status = int(server.stdout.readline())
        return subprocess.CompletedProcess(call["arguments"], status, out.read_text(), err.read_text())


@cache
def _server() -> subprocess.Popen:
    """Start the process that forks; it ends when this one does."""
    command = [sys.executable, "-P", __file__]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _serve() -> None:
    """Fork a child for each call on standard input, and print its exit status."""
    import snakemake.cli
    import snakemake.report  # noqa: F401  its imports take long too

    gc.freeze()  # what is imported by now is never garbage
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _become(**json.loads(line))
            snakemake.cli.main(sys.argv[1:])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def _become(folder: str, arguments: list[str], environment: dict[str, str], out: str, err: str) -> None:
    """Make this process what a shell would have started."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    for stream, path in enumerate((os.devnull, out, err)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), stream)


if __name__ == "__main__":
    _serve()
