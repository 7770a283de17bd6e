"""A small study in a checkout of its own: how it is run, and what it made."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

from helpers.edits import SNAKEMAKE

CONFIG = "tests/faults/tiny.yaml"
# A shell without job control has what it starts in the background ignore Ctrl-C, and what that starts inherits it.
signal.signal(signal.SIGINT, signal.default_int_handler)


class Study:
    """A checkout, the results that Snakemake leaves in it, and the program and arguments that it is always run with."""

    def __init__(self, folder: Path, *standing: str, name: str = "tiny", program: tuple = (SNAKEMAKE,)):
        self.folder, self.results, self.name, self.program = folder, folder / "results", name, program
        self.standing = standing or ("--configfile", CONFIG)

    def copy(self, folder: Path) -> "Study":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Study(folder, *self.standing, name=self.name, program=self.program)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        """Snakemake in a session of its own."""
        env = {name: value for name, value in os.environ.items() if name != "BALLAST_PRELOAD"}
        with open(self.folder / "said", "w") as said:
            return subprocess.Popen(
                [*self.program, *arguments, *self.standing],
                cwd=self.folder,
                env=env | {"OMP_NUM_THREADS": "1"} | environment,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def run(self, *arguments: str, **environment: str) -> int:
        return self.start(*arguments, **environment).wait(600)

    def succeed(self, *arguments: str, **environment: str) -> str:
        assert self.run(*arguments, **environment) == 0, self.said()[-3000:]
        return self.said()

    def files(self) -> dict[str, str]:
        """Digests of all that the study made, by path; logs, costs and what a killed job goes on from are left out."""
        return digests(self.results)

    def without(self, *patterns: str) -> "Study":
        """Delete what the patterns name under the study's results, as if it had not been made yet."""
        for pattern in patterns:
            found = list((self.results / self.name).glob(pattern))
            assert found, pattern
            for path in found:
                path.unlink() if path.is_file() else shutil.rmtree(path)
        return self


def digests(results: Path) -> dict[str, str]:
    kept = re.compile(r"(worlds/)?[^/]+/(logs|benchmarks|store|partial)/")
    paths = {path.relative_to(results).as_posix(): path for path in sorted(results.rglob("*")) if path.is_file()}
    return {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if not kept.match(name)}
