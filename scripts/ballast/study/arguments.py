"""Write options as text for a stage's command line."""

import base64
import json
import shlex
import zlib
from collections.abc import Mapping

from pydantic import BaseModel

# Linux takes at most 128 KiB in one argument, and Snakemake gives a job's whole command in one.
LONG = 40_000
PACKED = "packed:"


def as_json(section: Mapping | BaseModel) -> str:
    """Return options as one stable JSON text: equal options give equal params, in any order of the config's keys."""
    return json.dumps(section.model_dump() if isinstance(section, BaseModel) else section, sort_keys=True)


def as_arguments(values: Mapping[str, object]) -> str:
    """Return `--name value` per non-empty value, quoted for a shell; `--name=value` if the value begins with `-`."""
    given = [(name, str(value)) for name, value in values.items() if value]
    return " ".join(f"--{name}{'=' if value[:1] == '-' else ' '}{shlex.quote(value)}" for name, value in given)


def packed(text: str) -> str:
    """Return a short text unchanged and a long one, or a packed one, compressed, for `stage.py` to unpack."""
    if len(text) <= LONG and not text.startswith(PACKED):
        return text
    return PACKED + base64.b85encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> str:
    """Return what `packed` was given."""
    return zlib.decompress(base64.b85decode(text.removeprefix(PACKED))).decode() if text.startswith(PACKED) else text


def as_pairs(values: Mapping[str, str]) -> str:
    """Return `name=value` per value, quoted for a shell."""
    return shlex.join(f"{name}={value}" for name, value in values.items())
