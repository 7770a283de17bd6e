"""Compare the references that DualSelect chose for different tasks: do task updates expose different constraints?

A task is the base data of one study; its runs' `selection.parquet` has each refresh. A run's choice is that of its last
refresh. Two choices overlap by the share of the smaller one that both have. Runs of one task with other seeds give the
overlap that chance alone leaves below 100 %, and choices at random would give the share that is chosen of all.
"""

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean

from ballast.files import BallastError, read_parquet
from ballast.markup import pipe_table

COLUMNS = ("Compared", "Pairs", "Chosen by both", "Least", "Most")


@dataclass(frozen=True)
class Choice:
    """What one run chose: `run` is its path without the trial; `chosen` and `known` are ids of references."""

    run: str
    trial: str
    chosen: frozenset[str]
    known: frozenset[str]


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
    chosen = frozenset(rows["id"][rows["kept"]])
    return Choice(str(place.parent), place.name, chosen, frozenset(rows["id"])) if chosen else None


def overlap(one: Choice, other: Choice) -> float:
    """Return the share of the smaller choice that is in both."""
    return len(one.chosen & other.chosen) / min(len(one.chosen), len(other.chosen))


def report(one: str | Path, other: str | Path) -> str:
    """Return a Markdown table of the overlaps: between tasks, within each task, and by chance.

    Raises BallastError if the studies have no run in common, or runs of one name chose from other references.
    """
    first, second = choices(one), {(choice.run, choice.trial): choice for choice in choices(other)}
    paired = [(choice, second[key]) for choice in first if (key := (choice.run, choice.trial)) in second]
    if not paired:
        raise BallastError(f"{one} and {other}: no run of one name chose references in both")
    for ours, theirs in paired:
        if ours.known != theirs.known:
            apart = len(ours.known ^ theirs.known)
            where = f"{ours.run}/{ours.trial}"
            raise BallastError(f"{where}: {apart} references are in one study alone; take the same pool for both tasks")
    rows = [_row("two tasks, one seed", [overlap(*pair) for pair in paired])]
    for name, known in ((one, first), (other, second.values())):
        seeds = [overlap(*pair) for pair in combinations(known, 2) if pair[0].run == pair[1].run]
        rows += [_row(f"two seeds, one task: {Path(name).name}", seeds)] if seeds else []
    rows.append(_row("choices at random", [len(choice.chosen) / len(choice.known) for choice, _ in paired]))
    return pipe_table(COLUMNS, rows)


def _row(compared: str, shares: list[float]) -> tuple[str, ...]:
    return (compared, str(len(shares)), *(f"{100 * value:.1f} %" for value in (mean(shares), min(shares), max(shares))))
