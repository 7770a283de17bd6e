"""Make a finished job's outputs again, in a folder of links to all that it reads: no finished file is written."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

# Jobs keep these in a study beside their outputs; a job that is made again starts without them.
KEPT = ("partial", "store")


def mirror(real: Path, place: Path, made: Iterable[Path]) -> None:
    """Fill the new folder `place` with links to all entries of `real`, but for the relative paths `made`.

    Folders on the way to these are real ones, so that nothing is written through a link.
    """
    place.mkdir(parents=True)
    ways: dict[str, list[Path]] = {}
    for path in made:
        ways.setdefault(path.parts[0], []).append(Path(*path.parts[1:]))
    for entry in os.scandir(real):
        if entry.name not in ways:
            (place / entry.name).symlink_to(Path(entry.path).absolute())
        elif entry.is_dir() and Path() not in ways[entry.name]:
            mirror(Path(entry.path), place / entry.name, ways[entry.name])


def make_again(script: str, files: list[str], folders: list[str], place: Path) -> tuple[Path, bool]:
    """Run a job's shell script in a mirror of this folder at `place`; return that folder, and whether it succeeded.

    `files`: what the job writes: outputs, their manifest rows, its log. `folders`: `results/...` of the study.
    """
    here = Path.cwd()
    # A path such as ../data/pool.json must lead to the same file from there.
    above = max((way.count("..") for way in re.findall(r"(?:\.\./)+", script)), default=0)
    top = [here, *here.parents][min(above, len(here.parents))]
    kept = [f"{folder}/{name}" for folder in folders for name in KEPT]
    made = [here.relative_to(top) / path for path in filter(None, (*files, *kept))]
    mirror(top, place, made)
    there = place / here.relative_to(top)
    for file in filter(None, files):
        (there / file).parent.mkdir(parents=True, exist_ok=True)
    (place / ".script.sh").write_text(script)  # a job that names every run is longer than one argument may be
    with open(place / ".said.txt", "w") as said:
        done = subprocess.run(
            ["bash", place.absolute() / ".script.sh"],
            cwd=there,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    return there, done.returncode == 0
