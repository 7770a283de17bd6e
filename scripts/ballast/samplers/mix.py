"""mix: random rows of several behaviours in given shares, such as three T1 to one T4.

Each slot goes to the behaviour that is farthest behind its share, ties to the lower number; within a behaviour the
seed's random order decides, as in `random`. With one share it is `t1` to `t4`.
"""

from ballast.files import BallastError
from ballast.names import BEHAVIOURS
from ballast.picks.selection import Selection, draw

NEEDS = ("behaviour",)
SEEDED = True
AMONG = False
OPTIONS = {
    "t1": (1.0, "Parts of T1."),
    "t2": (0.0, "Parts of T2."),
    "t3": (0.0, "Parts of T3."),
    "t4": (0.0, "Parts of T4."),
}


def select(pool, features, n, seed, options) -> Selection:
    """Pick n rows; raise BallastError if a behaviour has fewer rows than its slots."""
    parts = {behaviour: options[behaviour.lower()] for behaviour in BEHAVIOURS if options[behaviour.lower()]}
    if not parts or min(parts.values()) < 0:
        raise BallastError("the sampler mix needs parts of at least one behaviour, such as {t1: 3, t4: 1}")
    whole = sum(parts.values())
    taken = dict.fromkeys(parts, 0)
    order = []
    for slot in range(1, n + 1):
        behind = max(parts, key=lambda each: round(slot * parts[each] / whole - taken[each], 9))
        taken[behind] += 1
        order.append(behind)
    rows = {each: iter(draw(_ids(pool, features, each, taken[each]), taken[each], seed)) for each in parts}
    return Selection([next(rows[each]) for each in order], [None] * n)


def _ids(pool, features, behaviour: str, slots: int) -> list[str]:
    ids = features.with_behaviour(pool, behaviour)["id"].tolist()
    if len(ids) < slots:
        raise BallastError(f"the sampler mix needs {slots} rows labelled {behaviour}, and the pool has {len(ids)}")
    return ids
