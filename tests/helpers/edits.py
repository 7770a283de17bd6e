"""A checkout to edit: its files, one change in one of them, and the jobs that a dry run then shows."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ballast import identity
from ballast.files import digest
from ballast.plugins import HOME
from ballast.study import config
from helpers import forked

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
SMALL = "tests/workflow/small.yaml"
SECRETS = {"HF_TOKEN": "hf_secretsecretsecret", "OPENAI_API_KEY": "sk-secretsecretsecret"}
# Rules that make the small world, the files that they are asked for, and the folders that then hold it.
WORLD_RULES = ("world_data", "world_tokenizer", "world_model", "world_judge")
WORLD_MODELS = ("llama-aligned", "category-llm", "harm-rm", "helpful-rm", "md-judge", "wildguard")
WORLD_FILES = ("data/base.json", *(f"models/{name}/config.json" for name in WORLD_MODELS))
WORLD_FOLDERS = ("results/worlds", ".snakemake/metadata", ".snakemake/log")
# What every study makes of its scores, one job each, beside its tables, figures and comparisons.
DOCUMENTS = dict.fromkeys(("headline", "claims", "advice", "trouble", "explore", "pages"), 1)


def snakemake(folder: Path, *arguments: str) -> str:
    """What Snakemake says in a checkout, where it must succeed."""
    done = forked.run(folder, *arguments)
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


def with_world(folder: Path) -> Path:
    """Copy the small world into a folder. It is made once for this code, and all suites share it.

    Snakemake checks the copied records as it checks all others, so a file that is out of date is made again.
    """
    kept = ROOT / "results/test-worlds" / _world_key()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with open(kept.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            for old in filter(Path.is_dir, kept.parent.iterdir()):
                shutil.rmtree(old)
            _make_world(kept)
        for name in WORLD_FOLDERS:
            shutil.copytree(kept / name, folder / name, dirs_exist_ok=True)
    return folder


def _world_key() -> str:
    """Return a digest of what shapes the small world: its options, the code, the templates, the libraries."""
    options = config.read(ROOT / SMALL)["world"]
    files = (ROOT / "envs/run.lock", *sorted(HOME.rglob("*.json")))
    parts = [options, *map(identity.code_identity, WORLD_RULES), *map(digest, files)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def _make_world(kept: Path) -> None:
    targets = [f"results/worlds/small/{name}" for name in WORLD_FILES]
    making = kept.with_name("making")
    with tempfile.TemporaryDirectory() as place:
        folder = checkout(Path(place, "study"))
        done = forked.run(folder, *targets, "--configfile", SMALL, environment={**os.environ, **SECRETS})
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        for name in WORLD_FOLDERS:
            shutil.copytree(folder / name, making / name)
    making.rename(kept)
