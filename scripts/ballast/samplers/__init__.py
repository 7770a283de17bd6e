"""Samplers: one file each. A sampler is `select(pool, features, n, seed, options) -> Selection`.

`NEEDS` names the features that it reads, so that a run waits for nothing else: behaviour, category, embedding,
references. `SEEDED` states whether the seed changes its picks. `OPTIONS` declares its options; it gets no others.
Every sampler returns exactly n ids without repeats, or raises BallastError; its first k of n are its picks for k.
The order of the pool's rows never matters.

One file answers to several names: `sss` picks among all rows, `sss-b` among T1 rows, `sss-t1` to `sss-t4` among the
rows of one behaviour, and `t1` to `t4` are `random` among them. `AMONG` in the file, a dictionary like OPTIONS, holds
options that only these forms have, or whose defaults differ there; `AMONG = False` means that there are no such forms.
"""

from collections.abc import Iterable

from ballast import plugins
from ballast.identity import constant
from ballast.names import BEHAVIOURS, RANDOM

# Ending of a name -> behaviour.
ENDINGS = {"b": "T1"} | {behaviour.lower(): behaviour for behaviour in BEHAVIOURS}


def split(name: str) -> tuple[str, str | None]:
    """Return the sampler of a name and the behaviour it picks among, None for all rows.

    An unknown name is returned unchanged.
    """
    there = plugins.names("samplers")
    if name.upper() in BEHAVIOURS and name not in there:
        return RANDOM, name.upper()
    sampler, _, ending = name.rpartition("-")
    if name not in there and ending in ENDINGS and sampler in with_forms():
        return sampler, ENDINGS[ending]
    return name, None


def join(sampler: str, among: str | None) -> str:
    """Return the name of a sampler among one behaviour: `sss-b` for T1, else `sss-t2` to `sss-t4`."""
    forms = [f"{sampler}-{ending}" for ending, behaviour in ENDINGS.items() if behaviour == among]
    # A file of such a name is a different sampler.
    return next((name for name in forms if split(name) == (sampler, among)), sampler)


def names() -> list[str]:
    """Return every name that a sampler answers to."""
    forms = [f"{sampler}-{ending}" for sampler in with_forms() for ending in ENDINGS]
    return [*plugins.names("samplers"), *map(str.lower, BEHAVIOURS), *forms]


def with_forms() -> list[str]:
    """Return the samplers that can pick among the rows of one behaviour."""
    return [name for name in plugins.names("samplers") if constant(f"samplers/{name}", "AMONG", {}) is not False]


def nearest(word: str, others: Iterable[str] = ()) -> str:
    """Return `; did you mean 'x'?` for the nearest name of a sampler or of `others`, else all names."""
    shown = [*plugins.names("samplers"), *map(str.lower, BEHAVIOURS), *others]
    return plugins.nearest(word, [*names(), *others], shown)
