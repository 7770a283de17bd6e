"""Write options as the text that a stage's command line takes."""

import json
import shlex
from collections.abc import Mapping

from pydantic import BaseModel


def as_json(section: Mapping | BaseModel) -> str:
    """Return options as one stable JSON text: equal options are equal params, in any order of the config's keys."""
    return json.dumps(section.model_dump() if isinstance(section, BaseModel) else section, sort_keys=True)


def as_arguments(values: Mapping[str, object]) -> str:
    """Return `--name value` for each value that there is, quoted for a shell."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in values.items() if value)


def as_pairs(values: Mapping[str, str]) -> str:
    """Return `name=value` for each value, quoted for a shell."""
    return shlex.join(f"{name}={value}" for name, value in values.items())
