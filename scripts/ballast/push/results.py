"""Read a study's folder as its manifest describes it: each file with its row, and only with the bytes of its row."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ballast.files import BallastError, read_json
from ballast.running.manifest import FOLDER, OTHERS, Check

# Stages whose files hold texts: rows of data, prompts, responses, answers of judges, sheets for people.
TEXTS = (
    *("aligned_rows", "data", "explore", "export", "generate", "judge", "pairwise", "pool_sheet", "respond"),
    *("response_sheet", "rewrite", "table"),
)
# Push reads these keys of a row.
ROW = {"sha256": str, "bytes": int, "rule": str, "code": str, "ballast": str, "config": dict, "versions": dict}


@dataclass(frozen=True)
class File:
    """One file of a push: its name in the repository, its bytes or their path, and how it differs from the study's."""

    name: str
    content: Path | bytes
    size: int
    sha256: str
    remark: str = ""


class Results:
    """The folder `results/<study>/`; `inside` is the given path below it."""

    def __init__(self, given: str):
        there = Path(os.path.abspath(given))
        if not there.exists():
            raise BallastError(f"{given}: no such file or folder")
        # A study's own folder may hold a folder called manifest, so the parent's name decides too.
        homes = (folder for folder in (there, *there.parents) if folder.parent.name == "results")
        home = next((folder for folder in homes if (folder / FOLDER).is_dir()), None)
        if home is None:
            raise BallastError(f"{given}: no results of a study; give a path in results/<study>/, which has a manifest")
        self.inside = there.relative_to(home)
        near = os.path.relpath(home)
        self.folder = home if near.startswith("..") else Path(near)
        self.study = home.name

    def has(self, name: Path | str) -> bool:
        """Return whether the manifest has a row of this file."""
        return self._row(name).is_file()

    def row(self, name: Path | str) -> dict:
        """Return a file's row; raise BallastError if it is torn."""
        path = self._row(name)
        with suppress(BallastError):
            row = read_json(path)
            if isinstance(row, dict) and all(isinstance(row.get(key), kind) for key, kind in ROW.items()):
                return row
        raise BallastError(f"{path}: this manifest row is torn; `snakemake verify` names the repair")

    def options(self, name: Path | str) -> dict:
        """Return the options of the stage that wrote a file."""
        options = self.row(name)["config"].get("options")
        if not isinstance(options, dict):
            raise BallastError(
                f"{self._row(name)}: this manifest row has no options; `snakemake verify` names the repair"
            )
        return options

    def file(self, name: Path | str, make: str) -> File:
        """Return a file that has the bytes of its row; `make` is the command that makes it.

        Raises BallastError if it is missing, a link, in no row, or has other bytes.
        """
        path = self.folder / name
        for part in (path, *path.parents[: len(Path(name).parts) - 1]):
            if part.is_symlink():
                raise BallastError(f"{part}: a link; push uploads only the files of the study's folder itself")
        if not self.has(name):
            why = "the manifest has no row of it" if path.exists() else "it is not made yet"
            raise BallastError(f"{path}: {why}; run `{make}`")
        row = self.row(name)
        damage = Check(str(path), row["sha256"], row["bytes"], row["rule"], "").damage()
        if damage:
            raise BallastError(f"{path}: {damage.wrong}; `snakemake verify` names the repair")
        return File(Path(name).name, path, row["bytes"], row["sha256"])

    def rows(self) -> Iterator[tuple[Path, dict]]:
        """Yield the name and the row of each file of the manifest, sorted."""
        top = self.folder / FOLDER
        for path in sorted(top.rglob("*.json")):
            name = path.relative_to(top).with_suffix("")
            yield name, self.row(name)

    def left_out(self, inside: Path, taken: set[Path], kind: str) -> tuple[int, Counter]:
        """Return the number of files below a folder, and those that are not `taken`, counted by reason."""
        found, reasons = 0, Counter()
        for folder, folders, names in os.walk(self.folder / inside):
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            for name in (*links, *names):
                path = Path(folder, name)
                found += 1
                if path.relative_to(self.folder) not in taken:
                    reasons[self._reason(path, kind)] += 1
        return found, reasons

    def _reason(self, path: Path, kind: str) -> str:
        name = path.relative_to(self.folder)
        if path.is_symlink():
            return "links"
        if name.parts[0] in OTHERS:
            return "logs, manifest and partial work"
        if path.name.startswith("."):
            return "left by killed jobs"
        if name.parts[0] == "sources":  # `source.json` alone has a row
            return "sources"
        if not self.has(name):
            return "in no manifest row"
        return "with texts" if self.row(name)["rule"] in TEXTS else f"no part of {kind}"

    def _row(self, name: Path | str) -> Path:
        return self.folder / FOLDER / f"{name}.json"


def made(name: str, content: bytes, remark: str) -> File:
    """Return a file whose bytes push makes."""
    return File(name, content, len(content), hashlib.sha256(content).hexdigest(), remark)
