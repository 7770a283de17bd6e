"""Name a file's columns in messages, but never the text of a row, which may stand where a header should."""

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from ballast.plugins import nearest

_NAME = re.compile(r"[^\W\d][\w.-]{0,39}")
_VALUE = re.compile(r"(?=.{1,40}$)-?[\w.]+([ ,;/-]+[\w.]+){0,2}")
# One of these in the first line of a CSV shows that it is a header.
USUAL = {"id", "prompt", "response", "instruction", "input", "output", "question", "answer", "query", "request", "text"}
USUAL |= {"messages", "conversations", "conversation", "chat", "dialogue", "history", "system", "completion", "context"}
USUAL |= {"category", "label", "type", "kind", "goal", "behavior", "target", "expected", "is_safe", "source"}


def named(column: object) -> str:
    """Return a column's name in quotes if it looks like a name, else its length."""
    return f"'{column}'" if _NAME.fullmatch(str(column)) else f"of {len(str(column))} characters"


def listed(columns: Iterable, path: str | Path = "", known: Collection[str] = (), most: int = 50) -> str:
    """Return the names of columns that can be no text, and how many others there are; `known` are the config's."""
    columns = list(columns)
    shown = _plain(columns, path, known)[:most]
    others = len(columns) - len(shown)
    more = f"{others} {'more' if shown else 'whose names may be the text of a row; is the first line a header?'}"
    return ", ".join([*shown, *[more] * bool(others)])


def near(column: str, columns: Iterable, path: str | Path = "") -> str:
    """Return the words for a column that a file lacks: the nearest name that it has, or all names."""
    columns = list(columns)
    shown = _plain(columns, path, ())
    return nearest(column, shown, [listed(columns, path)]) if columns else ""


def value_shown(said: str) -> str:
    """Return a cell's value in quotes if it is a number or one to three words, else its length."""
    return f"'{said}'" if _VALUE.fullmatch(said) else f"a text of {len(said)} characters"


def _plain(columns: list, path: str | Path, known: Collection[str]) -> list[str]:
    names = [str(column) for column in columns]
    unsure = {".csv", ".tsv"} & set(map(str.lower, Path(path).suffixes)) and not known
    if unsure and not USUAL & {name.strip().lower() for name in names}:
        return []
    return [name for name in names if name in known or _NAME.fullmatch(name)]
