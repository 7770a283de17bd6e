"""Read the config that another workflow gives: `module ...: config:`."""

import copy
from pathlib import Path

from ballast.files import BallastError
from ballast.plugins import HOME
from ballast.study.config import given

OWN = HOME.parents[1] / "config"


def of_module(raw: dict) -> dict:
    """Return the config of `module ...: config: raw`; without any key it is the mini study.

    Its `extends` names a file of the working folder, of config/ there (the keys may come from a file in it), or of
    Ballast's own config/.
    """
    raw = copy.deepcopy(dict(raw))
    parent = raw.pop("extends", None if raw else "mini.yaml")
    if parent is None:
        return given([], raw)
    found = [path for folder in (Path(), Path("config"), OWN) if (path := folder / str(parent)).is_file()]
    if not found:
        raise BallastError(f"config of the module: extends: {parent}: no such file here, in config/ or in {OWN}")
    return given(found[:1], raw)
