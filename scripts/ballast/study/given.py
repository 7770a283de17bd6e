"""Find the config that a study is given: files and keys of a command line, or `module ...: config:` of a workflow."""

import copy
from pathlib import Path

from ballast.files import BallastError
from ballast.plugins import HOME
from ballast.study.config import given

OWN = HOME.parents[1] / "config"


def of_module(raw: dict) -> dict:
    """Return the config of `module ...: config: raw`; without any key it is the mini study.

    Its `extends` names a file from the working folder, in config/ there (`configfile: "config/config.yaml"` does not say
    where the keys stood), or in Ballast's own config/.
    """
    raw = copy.deepcopy(dict(raw))
    parent = raw.pop("extends", None if raw else "mini.yaml")
    if parent is None:
        return given([], raw)
    found = [path for folder in (Path(), Path("config"), OWN) if (path := folder / str(parent)).is_file()]
    if not found:
        raise BallastError(f"config of the module: extends: {parent}: no such file here, in config/ or in {OWN}")
    return given(found[:1], raw)
