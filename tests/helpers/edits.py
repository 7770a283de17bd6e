"""A checkout to edit: its files, one change in one of them, and the jobs that a dry run then shows."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
SMALL = "tests/workflow/small.yaml"
# What every study makes of its scores, one job each, beside its tables, figures and comparisons.
DOCUMENTS = dict.fromkeys(("headline", "claims", "advice", "trouble", "explore", "pages"), 1)


def snakemake(folder: Path, *arguments: str) -> str:
    """What Snakemake says in a checkout, where it must succeed."""
    done = subprocess.run([str(SNAKEMAKE), *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout + done.stderr


def pending(folder: Path, *arguments: str) -> dict[str, int]:
    """Jobs by rule that a dry run shows, but for the target and the barrier."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    said = snakemake(folder, *arguments[:end], "-n", "-q", "rules", *arguments[end:])
    found = re.findall(r"^(\w+) +(\d+)$", said, re.MULTILINE)
    return {name: int(number) for name, number in found if name not in ("all", "total", "settle")}


def edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text, f"{file} no longer holds {old!r}"
    (folder / file).write_text(text.replace(old, new, 1))


def checkout(folder: Path) -> Path:
    """The files under version control and the new ones."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder
