"""Plug-ins: one file each, found by its name. `k-center` in the config is `samplers/k_center.py`.

Adding a sampler, a trainer, a judge, a backend or a reader is adding a file to its folder; nothing else is told.
"""

import difflib
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

from ballast.files import BallastError

HOME = Path(__file__).parent


def names(kind: str) -> list[str]:
    """Names of the plug-ins of a kind (`samplers`, `judges`, ...) as the config spells them, sorted."""
    return list(_names(HOME / kind))


@cache
def _names(folder: Path) -> list[str]:
    files = folder.glob("*.py")
    return sorted(file.stem.replace("_", "-") for file in files if not file.stem.startswith("_"))


def load(kind: str, name: str) -> ModuleType:
    """The module of one plug-in; an unknown name is an error that offers the nearest one."""
    if name not in names(kind):
        raise BallastError(f"no {kind[:-1]} is called '{name}'{nearest(name, names(kind))}")
    return importlib.import_module(f"ballast.{kind}.{name.replace('-', '_')}")


def nearest(word: str, known: list[str], shown: list[str] | None = None) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, else the words there are, or `shown` of them."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; there are: {', '.join(shown or known)}"
