"""Samplers: one file each. A sampler is `select(pool, features, n, seed, options) -> Selection`.

`NEEDS` names the features it reads, so that a run waits for nothing else: behaviour, category, embedding, references.
Every sampler gives exactly n ids or a BallastError, without repeats, and its first k of n are what it gives for k.
None depends on the order of the pool's rows. `SEEDED` says whether the seed changes what is picked.

For people: `from ballast.samplers import select` picks rows of a DataFrame (docs/python.md).
"""

import importlib

FOR_PEOPLE = ("embed", "label", "select")


def __getattr__(name: str):
    """What picks for people comes when it is asked for: it is no part of any sampler, nor of a sampler's code."""
    if name in FOR_PEOPLE:
        return getattr(importlib.import_module("ballast.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
