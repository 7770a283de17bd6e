"""Compare the references that DualSelect chose for different tasks: do task updates expose different constraints?

A task is the base data of one study; its runs' `selection.parquet` has each refresh. A run's choice is the weight of
each reference at its last refresh. Two choices overlap by the weight that both give, each choice's weights summing to
1: of hard choices it is the share of references that both have. Runs of one task with other seeds show what chance
alone takes away, and shuffled choices what it leaves.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd

from ballast.files import BallastError, read_parquet
from ballast.markup import pipe_table

COLUMNS = ("Compared", "Pairs", "Weight in common", "Least", "Most")
SHUFFLES = 100


@dataclass(frozen=True)
class Choice:
    """Hold what one run chose: `run` is its path without the trial; `weights` are by id, 0 for one not chosen."""

    run: str
    trial: str
    weights: pd.Series


def choices(results: str | Path) -> list[Choice]:
    """Return the choices of a study's runs; raise BallastError if no run chose references."""
    runs = Path(results) / "runs"
    found = [_choice(path, runs) for path in sorted(runs.rglob("selection.parquet"))]
    if not (kept := [choice for choice in found if choice]):
        raise BallastError(f"{results}: no run here chose references; runs of a method with the trainer dualselect do")
    return kept


def _choice(path: Path, runs: Path) -> Choice | None:
    table = read_parquet(path)
    if "kind" not in table:  # another trainer's record
        return None
    rows = table[table["kind"] == "reference"]
    rows = rows[rows["step"] == rows["step"].max()]
    place = path.parent.relative_to(runs)
    weights = pd.Series(rows["weight"].to_numpy(float), rows["id"]).sort_index()
    return Choice(str(place.parent), place.name, weights) if weights.sum() > 0 else None


def overlap(one: Choice, other: Choice) -> float:
    """Return the weight that both choices give, from 0 to 1, among references that both runs knew."""
    return float(np.minimum(*_shared(one, other)).sum())


def by_chance(one: Choice, other: Choice) -> float:
    """Return the overlap of two choices whose weights lie on references at random: the mean of `SHUFFLES`."""
    ours, theirs = _shared(one, other)
    draw = np.random.default_rng(0)
    return float(np.mean([np.minimum(ours, draw.permutation(theirs)).sum() for _ in range(SHUFFLES)]))


def _shared(one: Choice, other: Choice) -> tuple[np.ndarray, np.ndarray]:
    known = one.weights.index.intersection(other.weights.index)
    ours, theirs = (choice.weights[known].to_numpy() for choice in (one, other))
    return ours / (ours.sum() or 1), theirs / (theirs.sum() or 1)


def report(one: str | Path, other: str | Path) -> str:
    """Return a Markdown table of the overlaps: between tasks, within each task, and by chance.

    A reference whose request the base data holds too is left out of that task; a line counts these. Raises BallastError
    if the studies have no run in common, or if most references of two such runs are not the same.
    """
    first, second = choices(one), {(choice.run, choice.trial): choice for choice in choices(other)}
    paired = [(choice, second[key]) for choice in first if (key := (choice.run, choice.trial)) in second]
    if not paired:
        raise BallastError(f"{one} and {other}: no run of one name chose references in both")
    apart = max(_alone(*pair) for pair in paired)
    rows = [_row("two tasks, one seed", [overlap(*pair) for pair in paired])]
    for name, known in ((one, first), (other, second.values())):
        seeds = [overlap(*pair) for pair in combinations(known, 2) if pair[0].run == pair[1].run]
        rows += [_row(f"two seeds, one task: {Path(name).name}", seeds)] if seeds else []
    rows.append(_row("shuffled choices", [by_chance(*pair) for pair in paired]))
    return f"{pipe_table(COLUMNS, rows)}\n\n{apart} references at most are in one task alone, and not compared.\n"


def _alone(one: Choice, other: Choice) -> int:
    """Return how many references only one of two runs knew; raise BallastError if most are such."""
    every = one.weights.index.union(other.weights.index)
    alone = len(one.weights.index.symmetric_difference(other.weights.index))
    if 2 * alone > len(every):
        where = f"{one.run}/{one.trial}"
        raise BallastError(
            f"{where}: {alone} of {len(every)} references are in one study alone; take one pool for both"
        )
    return alone


def _row(compared: str, shares: list[float]) -> tuple[str, ...]:
    return (compared, str(len(shares)), *(f"{100 * value:.1f} %" for value in (mean(shares), min(shares), max(shares))))
