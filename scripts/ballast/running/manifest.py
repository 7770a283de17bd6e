"""Record each artefact's content and origin in a manifest when its job ends, and verify them.

Each artefact has one JSON row in `results/<study>/manifest/`, or `results/worlds/<world>/manifest/`, under its own
path, so concurrent jobs never write the same row, and a job that runs again replaces its own. `verify` hashes every
artefact again. A fetched source's `source.json` lists its files, and `verify` checks them too.
"""

import csv
import io
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import safe_open

from ballast.files import BallastError, digest, read_json, read_jsonl, read_text, write_json
from ballast.running import libraries
from ballast.running.copies import named

FOLDER = "manifest"
# Files that jobs keep apart from artefacts; they may be deleted and have no row.
OTHERS = ("logs", "benchmarks", "store", "partial", FOLDER, "settled.txt")
SOURCE = "source.json"
# The revision of a source with a local copy.
LOCAL = "local"


@dataclass(frozen=True)
class Damage:
    """An artefact that differs from its row: its path, the difference, the rule that makes it, the repair."""

    artefact: str
    wrong: str
    rule: str
    repair: str


def row_of(artefact: str | Path) -> Path:
    """Return the path of an artefact's row. Artefacts lie below `results/<study>/` or `results/worlds/<world>/`.

    A module's prefix may stand before `results`.
    """
    parts = Path(artefact).parts
    first = parts.index("results") if "results" in parts else len(parts)
    depth = first + (3 if parts[first + 1 : first + 2] == ("worlds",) else 2)
    if len(parts) <= depth:
        raise BallastError(f"{artefact}: not below results/<study>/, so no manifest can have a row of it")
    return Path(*parts[:depth], FOLDER, *parts[depth:-1], f"{parts[-1]}.json")


def record(artefacts: list[str], rule: str, code: str, arguments: list[str]) -> None:
    """Write the rows of a job's artefacts; its stage's `arguments` hold the slice of the config that it read.

    Raises BallastError if an artefact is missing.
    """
    config, versions = slice_of([named(argument) for argument in arguments]), libraries.versions()
    made = {"rule": rule, "code": code, "config": config, "versions": versions, "ballast": libraries.own()}
    made["device"] = _device()
    for artefact in artefacts:
        if not os.path.isfile(artefact):
            raise BallastError(f"{artefact}: not written, though its stage ended well; mend scripts/{rule}.py")
        described = {"sha256": digest(artefact), "bytes": os.path.getsize(artefact), **describe(artefact)}
        write_json(row_of(artefact), described | made | {"artefact": named(artefact)})


def _device() -> str:
    """Return the GPU that this process has computed on; `cpu` if it has not used one."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    return cuda.get_device_name() if cuda and cuda.is_initialized() else "cpu"


def describe(path: str | Path) -> dict:
    """Return `rows` and `schema` of a file by its kind: column types, or tensors by type; None for other files."""
    kind = Path(path).suffix
    if kind == ".parquet":
        table = pq.ParquetFile(path)
        columns = {field.name: str(field.type) for field in table.schema_arrow}
        return {"rows": table.metadata.num_rows, "schema": columns}
    if kind == ".arrow":
        with pa.memory_map(str(path)) as file, pa.ipc.open_file(file) as reader:
            columns = {field.name: str(field.type) for field in reader.schema}
            return {"rows": reader.count_rows(), "schema": columns}
    if kind == ".csv":
        header, *rows = csv.reader(io.StringIO(read_text(path), newline=""))
        return {"rows": len(rows), "schema": dict.fromkeys(header, "text")}
    if kind == ".safetensors":
        with safe_open(path, "np") as tensors:
            names = tensors.keys()
            types = Counter(tensors.get_slice(name).get_dtype() for name in names)
        return {"rows": None, "schema": {name: f"{number} tensors" for name, number in sorted(types.items())}}
    rows = read_jsonl(path) if kind == ".jsonl" else read_json(path) if kind == ".json" else None
    return {"rows": len(rows) if isinstance(rows, list) else None, "schema": None}


def slice_of(arguments: list[str]) -> dict:
    """Return a stage's arguments by name, with JSON parsed, so that the row shows the config's keys and values."""
    found: dict[str, list] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name = argument.removeprefix("--")
            found[name] = []
        else:
            found[name].append(json.loads(argument) if argument.startswith("{") else argument)
    return {name: values[0] if len(values) == 1 else values or True for name, values in found.items()}


def verify(folders: list[str], command: str, rules: list[str]) -> tuple[list[Damage], int, int]:
    """Hash the artefacts below some `results/...` folders; return findings, the number hashed, and their bytes.

    `command` runs this study; a repair adds the artefact to it. `rules` and the findings are in the order of the data
    flow, so that an artefact's inputs are repaired before it.
    """
    checks = list(_checks(folders, command))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        damaged = list(pool.map(lambda check: check.damage(), checks))
    strays = list(_strays(folders, command, {check.artefact for check in checks}))
    size = sum(check.size() for check in checks)
    place = {rule: number for number, rule in enumerate(rules)}
    found = sorted([*filter(None, damaged), *strays], key=lambda one: (place.get(one.rule, len(place)), one.artefact))
    return found, len(checks), size


def adopted(folders: list[str]) -> int:
    """Return how many artefacts were made by earlier code and adopted under the code of their rows (`adopt.py`)."""
    found = 0
    for path in (path for folder in folders for path in Path(folder, FOLDER).rglob("*.json")):
        with suppress(BallastError):  # a torn row: `verify` names it
            row = read_json(path)
            found += isinstance(row, dict) and "adopted" in row
    return found


@dataclass(frozen=True)
class Check:
    """One file to hash. `size_wanted` is None if only its digest is known; `wrong` says that the row itself is bad."""

    artefact: str
    sha256: str
    size_wanted: int | None
    rule: str
    repair: str
    wrong: str = ""

    def size(self) -> int:
        return os.path.getsize(self.artefact) if os.path.isfile(self.artefact) else 0

    def damage(self) -> Damage | None:
        wrong = self.wrong or self._wrong()
        return Damage(self.artefact, wrong, self.rule, self.repair) if wrong else None

    def _wrong(self) -> str:
        if not os.path.isfile(self.artefact):
            return "missing"
        if self.size_wanted is not None and self.size() != self.size_wanted:
            return f"torn: it has {self.size()} bytes, and had {self.size_wanted}"
        try:
            return "" if digest(self.artefact) == self.sha256 else "changed: other bytes than were written"
        except BallastError as error:
            return str(error)


def _checks(folders: list[str], command: str) -> Iterator[Check]:
    for folder in folders:
        for path in sorted(Path(folder, FOLDER).rglob("*.json")):
            artefact = Path(folder, path.relative_to(Path(folder, FOLDER)).with_suffix("")).as_posix()
            repair = remake(command, artefact)
            try:
                row = read_json(path)
                check = Check(artefact, row["sha256"], row["bytes"], row["rule"], repair)
            except (BallastError, KeyError, TypeError):
                yield Check(artefact, "", None, "unknown", repair, f"its manifest row is torn ({path})")
                continue
            yield check
            if Path(artefact).name == SOURCE and not check.damage():
                yield from _source_checks(Path(artefact), repair)


def _source_checks(manifest: Path, repair: str) -> Iterator[Check]:
    """Yield the files of a fetched source. A model's files are links.

    The hub's cache keeps a damaged file unless it is removed; a user's own copy is never ours to remove.
    """
    source = read_json(manifest)
    for name, sha256 in source["sha256"].items():
        path = manifest.parent / name
        cached = path.is_symlink() and path.exists() and source["revision"] != LOCAL
        removed = f"rm {shlex.quote(str(path.resolve()))} && " if cached else ""
        yield Check(path.as_posix(), sha256, None, "fetch", removed + repair)


def _strays(folders: list[str], command: str, known: set[str]) -> Iterator[Damage]:
    """Yield files without a row: left by a killed job, or put there by hand."""
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            artefact = path.as_posix()
            if path.relative_to(folder).parts[0] in OTHERS or not path.is_file() or artefact in known:
                continue
            if path.name.startswith("."):
                yield Damage(artefact, "left by a job that was killed", "none", f"rm {shlex.quote(artefact)}")
            else:
                yield Damage(artefact, "in no manifest row", "unknown", remake(command, artefact))


def remake(command: str, artefact: str) -> str:
    """Return the command that makes one artefact again, even if Snakemake thinks it is current; then a plain run."""
    return f"{command} --force {shlex.quote(artefact)}"
