"""Refuse a config that holds a password or a key: results, manifest rows and Snakemake's metadata keep every value."""

import re

from ballast.files import BallastError
from ballast.study.mistakes import shown

# A name or password in an address; a key in its query; the keys of OpenAI and others, of the hub and of GitHub.
_SECRET = re.compile(
    r"://[^/\s?#]*@|[?&][\w-]*(key|token|secret|passw(or)?d|signature|sig)=."
    r"|\bsk-(?=[\w-]*[0-9])(?=[\w-]*(?-i:[A-Z]))[\w-]{20,}|\bhf_[A-Za-z0-9]{30,}|\bgh[opsu]_[A-Za-z0-9]{30,}",
    re.IGNORECASE,
)


def refuse(value: object, place: str = "") -> None:
    """Raise BallastError at the first text that holds a secret; the message names its key, never the text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            refuse(str(key), f"{place or 'the top level'}: a key")
            refuse(inner, f"{place}.{shown(key)}" if place else shown(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            refuse(inner, f"{place}.{number}")
    elif isinstance(value, str) and _SECRET.search(value):
        raise BallastError(
            f"config: {place}: this holds a password or a key, and results would keep it; take it out, and put a key "
            "into the environment variable that key_env names (HF_TOKEN for the hub)"
        )
