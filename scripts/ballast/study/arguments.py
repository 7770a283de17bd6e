"""Write options as text for a stage's command line."""

import json
import shlex
from collections.abc import Mapping

from pydantic import BaseModel


def as_json(section: Mapping | BaseModel) -> str:
    """Return options as one stable JSON text: equal options give equal params, in any order of the config's keys."""
    return json.dumps(section.model_dump() if isinstance(section, BaseModel) else section, sort_keys=True)


def as_arguments(values: Mapping[str, object]) -> str:
    """Return `--name value` per non-empty value, quoted for a shell."""
    return " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in values.items() if value)


def as_pairs(values: Mapping[str, str]) -> str:
    """Return `name=value` per value, quoted for a shell."""
    return shlex.join(f"{name}={value}" for name, value in values.items())
