"""Recognise columns that say whether a row may be learnt, count what is not read, and filter rows by their columns."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from ballast.data.named import near, value_shown
from ballast.files import BallastError

# Columns whose value 0 or false marks a row that is not to be learnt, in the data sets that people share.
MARKS = {"label", "is_safe", "safe", "weight", "train", "keep", "accept", "accepted", "approved", "valid", "include"}
MARKS |= {"split", "review_result", "is_valid", "is_good", "learn", "loss"}
# Columns whose value 1 or true marks one.
EXCLUSIONS = {"exclude", "excluded", "skip", "ignore", "is_bad", "unsafe", "is_unsafe"}
EXCLUSIONS |= {"deleted", "is_deleted", "removed"}
TRAINED, HELD_OUT = {"train", "training"}, {"test", "validation", "val", "dev", "eval"}
YES = {"true", "1", "yes", "y", "good", "safe", "chosen", "desirable", "accept", "accepted", "positive"} | TRAINED
NO = HELD_OUT | {"false", "0", "-1", "no", "n", "bad", "unsafe", "rejected", "undesirable", "reject", "negative"}
VALUES = 20  # distinct values of a column that are counted


def normal(value: object) -> str:
    """Return a value as text, so that true in JSON equals True in CSV, and 1 equals 1.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "null" if value is None else str(value).strip().lower()


def teaches(message: Mapping) -> bool:
    """Return whether a chat's message may be learnt: not if `weight`, `train`, `training` or `loss` is 0 or false."""
    marks = (message.get(key) for key in ("weight", "train", "training", "loss"))
    return not any(mark is not None and normal(mark) in ("0", "false") for mark in marks)


class Unread:
    """Counts of the values in the columns that are not read. Long values and rare ones count as one."""

    def __init__(self, read: set[str]):
        self.read = read
        self.columns: dict[str, Counter] = {}

    def see(self, record: Mapping) -> None:
        for column, value in record.items():
            if column not in self.read and value is not None and value != "":
                counts = self.columns.setdefault(str(column), Counter())
                plain = isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) < VALUES)
                word = normal(value) if plain else "..."
                counts[word if word in counts or len(counts) < VALUES else "..."] += 1


def is_mark(column: str, values: Mapping[str, int]) -> bool:
    """Return whether a column's name and values say which rows may be learnt."""
    if _name(column) == "weight":
        return all(value.replace(".", "", 1).isdigit() for value in values)
    return is_name(column) and set(values) <= YES | NO


def is_name(column: object) -> bool:
    """Return whether a column's name is one that marks rows."""
    return _name(column) in MARKS | EXCLUSIONS


def refused(column: str, values: Mapping[str, int]) -> int:
    """Return how many rows a column marks as not to be learnt."""
    marks = YES if _name(column) in EXCLUSIONS else NO
    return sum(count for value, count in values.items() if value in marks)


def _name(column: object) -> str:
    return str(column).strip().lower().replace("-", "_").replace(" ", "_")


class Filter:
    """Rows that a config's `where` takes: each column has the value, or one of the values."""

    def __init__(self, where: Mapping[str, object]):
        self.where = {
            column: {normal(value) for value in (values if isinstance(values, list | tuple) else [values])}
            for column, values in where.items()
        }
        self.seen: dict[str, Counter] = {column: Counter() for column in where}
        self.columns: set[str] = set()

    def takes(self, record: Mapping) -> bool:
        if not self.where:
            return True
        self.columns.update(record)
        found = {column: normal(record.get(column)) for column in self.where}
        for column, value in found.items():
            if value in self.seen[column] or len(self.seen[column]) < VALUES:
                self.seen[column][value] += 1
        return all(found[column] in wanted for column, wanted in self.where.items())

    def check(self, path: str | Path) -> None:
        """Raise BallastError if a column is absent or has none of the wanted values."""
        for column, wanted in self.where.items():
            if column not in self.columns:
                known = near(column, sorted(map(str, self.columns)), path)
                raise BallastError(f"{path}: no column '{column}', which `where` names{known}")
            if not wanted & self.seen[column].keys() and len(self.seen[column]) < VALUES:
                there = ", ".join(
                    f"{value_shown(value)} ({count})" for value, count in self.seen[column].most_common(5)
                )
                asked = f"{column} {' or '.join(sorted(wanted))}"
                raise BallastError(f"{path}: no row has {asked}, which `where` wants (there are: {there})")
