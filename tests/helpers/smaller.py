"""An environment with the packages of one lock alone, made of links to this one: no network, no copy."""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def environment(folder: Path, lock: str) -> Path:
    """Return the Python of a new environment that holds what envs/<lock> names, at the versions installed here."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    site = next(folder.glob("lib/python*/site-packages"))
    for name in re.findall(r"(?m)^([\w.-]+)==", (ROOT / "envs" / lock).read_text()):
        found = importlib.metadata.distribution(name)
        for top in {file.parts[0] for file in found.files} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():  # two packages may share a folder
                link.symlink_to(found.locate_file(top))
    return folder / "bin/python"
