"""Find plug-ins, one file each, by name: `k-center` in the config is `samplers/k_center.py`.

To add a sampler, trainer, judge, backend or reader, add a file to its folder; no other code changes.
"""

import difflib
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

from ballast.files import BallastError

HOME = Path(__file__).parent


def names(kind: str) -> list[str]:
    """Return the names of the plug-ins of a kind (`samplers`, `judges`, ...) as in the config, sorted."""
    return list(_names(HOME / kind))


@cache
def _names(folder: Path) -> list[str]:
    files = folder.glob("*.py")
    return sorted(file.stem.replace("_", "-") for file in files if not file.stem.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """Return the module of one plug-in; the error for an unknown name offers the nearest one."""
    if name not in names(kind):
        raise BallastError(f"no {kind[:-1]} is called '{name}'{nearest(name, names(kind))}")
    return importlib.import_module(f"ballast.{kind}.{name.replace('-', '_')}")


def nearest(word: str, known: list[str], shown: list[str] | None = None) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, else list all words, or `shown` of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(shown or known)}"
