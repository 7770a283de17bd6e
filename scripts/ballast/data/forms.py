"""Recognise the forms of fine-tuning files by their columns, and turn their rows into Ballast's pairs.

alpaca: instruction, input (may be absent), output. prompt-response: two columns of text, under their usual names.
messages: one column with a chat, as role and content (OpenAI, TRL) or from and value (ShareGPT).
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ballast.data.records import records
from ballast.data.rows import PAIR
from ballast.files import BallastError
from ballast.plugins import nearest

ALPACA, PROMPT_RESPONSE, MESSAGES, AUTO = "alpaca", "prompt-response", "messages", "auto"
# The usual names of each part. The first that a file has counts; case does not matter.
NAMES = {
    MESSAGES: {"messages": ("messages", "conversations", "conversation", "chat", "dialogue")},
    ALPACA: {"instruction": ("instruction",), "input": ("input",), "output": ("output",)},
    PROMPT_RESPONSE: {
        "instruction": ("prompt", "question", "query", "request", "instruction", "input"),
        "input": ("input", "context"),
        "output": ("response", "answer", "completion", "output"),
    },
}
ROLE, CONTENT = ("role", "from"), ("content", "value")
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
SAMPLE = 100  # records read to detect a file's form
PART = 16_384  # rows held as Python objects at a time


class Unreadable(Exception):
    """The reason why a row is not a pair."""


@dataclass(frozen=True)
class Form:
    """A form, and the column that holds each part: instruction, input and output, or messages."""

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """One row's three texts; `system`: its chat had a system message; `turns`: requests in its chat."""

    instruction: str
    input: str
    output: str
    system: bool = False
    turns: int = 1


@dataclass
class Understood:
    """A file as pairs. `numbers`: each pair's record, from 0; `unreadable`: (record, reason) of the others."""

    form: Form
    records: int
    table: pd.DataFrame
    numbers: np.ndarray
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    system: int = 0
    several_turns: int = 0


def understand(path: str | Path, name: str = AUTO, columns: Mapping[str, str] | None = None) -> Understood:
    """Read a whole file and count rows that are no pair. Raises BallastError if the file has no known form."""
    waiting = records(path)
    sample = list(islice(waiting, SAMPLE))
    form = detect(path, sample, name, columns or {})
    system = several = count = 0
    unreadable, numbers, parts, rows = [], [], [], []
    for count, found in enumerate(pairs(chain(sample, waiting), form), start=1):
        if isinstance(found, str):
            unreadable.append((count - 1, found))
            continue
        system, several = system + found.system, several + (found.turns > 1)
        numbers.append(count - 1)
        rows.append((found.instruction, found.input, found.output))
        if len(rows) == PART:
            parts.append(_arrow(rows))
            rows = []
    table = pa.concat_tables([*parts, _arrow(rows)]).to_pandas()
    return Understood(form, count, table, np.asarray(numbers, np.int64), unreadable, system, several)


def read(path: str | Path, name: str, columns: Mapping[str, str] | None = None, unreadable: float = 0) -> pd.DataFrame:
    """Return instruction, input, output in file order. Raises BallastError if over a share `unreadable` has no pair."""
    found = understand(path, name, columns)
    if found.unreadable and len(found.unreadable) > unreadable * found.records:
        number, why = found.unreadable[0]
        raise BallastError(f"{path}: row {number}: {why}{_others(found, unreadable)}")
    if found.table.empty:
        raise BallastError(f"{path}: no rows")
    return found.table


def detect(path: str | Path, sample: list[dict], name: str = AUTO, columns: Mapping[str, str] | None = None) -> Form:
    """Return the form of the first records: the one named `name` or, for `auto`, the first whose columns most have.

    `columns` maps a part to its column, before the usual names. Raises BallastError if a part has no column.
    """
    if not sample:
        raise BallastError(f"{path}: no rows")
    counts = Counter(str(column) for record in sample for column in record)
    there = [column for column, times in counts.items() if 2 * times >= len(sample)] or list(counts)
    given = dict(columns or {})
    for part, column in given.items():
        if column not in counts:
            raise BallastError(f"{path}: no column '{column}', which columns.{part} names{nearest(column, there)}")
    names = [each for each in NAMES if given.keys() <= NAMES[each].keys() and not (given and each == ALPACA)]
    for each in names if name == AUTO else [name]:
        found = given.copy()
        for part, usual in NAMES[each].items():
            if part not in found and (column := _column(usual, there, found.values())):
                found[part] = column
        lacking = [part for part in NAMES[each] if part not in found and part != "input"]
        if not lacking:
            return Form(each, found)
    if len(sample) == 1 and all(isinstance(value, list | dict) for value in sample[0].values()):
        raise BallastError(f"{path}: wanted a list of objects, or an object a line (there are: {', '.join(there)})")
    if name != AUTO:
        raise BallastError(f"{path}: no column '{lacking[0]}' (there are: {', '.join(there)})")
    raise BallastError(
        f"{path}: no form that Ballast knows (there are: {', '.join(there)}); say which column is which in `columns`: "
        "{instruction: ..., output: ...} or {messages: ...}"
    )


def _column(usual: Iterable[str], there: Iterable[str], taken: Iterable[str]) -> str | None:
    lower = {column.lower().strip(): column for column in there if column not in taken}
    return next((lower[name] for name in usual if name in lower), None)


def pairs(rows: Iterable[dict], form: Form) -> Iterator[Pair | str]:
    """Yield each record's pair, or the reason why it has none."""
    for record in rows:
        try:
            yield pair(record, form)
        except Unreadable as why:
            yield str(why)


def pair(record: dict, form: Form) -> Pair:
    """Return a record's pair; raise Unreadable if a part is missing, or is neither text nor chat.

    The last answer of a chat is the output. The text before it is the instruction, as a transcript if it has more than
    one request. A system message belongs to the model's prompt (`models.<name>.system`) and is left out.
    """
    if form.name == MESSAGES:
        return _chat(_part(record, form, "messages"))
    prompt, response = (_part(record, form, part) for part in ("instruction", "output"))
    if isinstance(prompt, list) and isinstance(response, list):  # TRL's prompt and completion may be chats
        return _chat([*prompt, *response])
    beside = record.get(form.columns.get("input"))
    texts = {"instruction": prompt, "input": "" if beside is None else beside, "output": response}
    for part, text in texts.items():
        if not isinstance(text, str):
            raise Unreadable(f"'{form.columns[part]}' is missing or not text")
    return Pair(**texts)


def _part(record: dict, form: Form, part: str):
    column = form.columns[part]
    if column not in record:
        raise Unreadable(f"no column '{column}' (there are: {', '.join(map(str, record))})")
    return record[column]


def _chat(messages) -> Pair:
    if isinstance(messages, str):  # in a CSV file
        try:
            messages = json.loads(messages)
        except json.JSONDecodeError:
            raise Unreadable("the chat is text, and no JSON list of messages") from None
    if not isinstance(messages, list) or not messages:
        raise Unreadable("the chat is missing or no list of messages")
    said = [_message(number, message) for number, message in enumerate(messages)]
    turns = [turn for turn in said if turn[0] != "system"]
    last = max((place for place, (role, _) in enumerate(turns) if role == "assistant"), default=None)
    if last is None:
        raise Unreadable("the chat has no answer")
    before = turns[:last]
    if not before or before[-1][0] != "user":
        raise Unreadable("the chat's last answer has no request before it")
    transcript = "\n\n".join(f"{role.capitalize()}: {text}" for role, text in before)
    instruction = before[0][1] if len(before) == 1 else transcript
    return Pair(instruction, "", turns[last][1], len(turns) < len(said), sum(role == "user" for role, _ in before))


def _message(number: int, message) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise Unreadable(f"message {number} is no object of role and content")
    role = next((message[key] for key in ROLE if key in message), None)
    if str(role).lower() not in ROLES:
        raise Unreadable(f"message {number}: the role '{role}' is none of user, assistant and system")
    content = next((message[key] for key in CONTENT if key in message), None)
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        content = "\n".join(str(part.get("text")) for part in content)
    if not isinstance(content, str):
        raise Unreadable(f"message {number}: its content is missing or not text")
    return ROLES[str(role).lower()], content


def _arrow(rows: list[tuple[str, str, str]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [(), (), ()]
    return pa.table({name: pa.array(column, pa.large_string()) for name, column in zip(PAIR, columns, strict=True)})


def _others(found: Understood, allowed: float) -> str:
    if len(found.unreadable) == 1 and not allowed:
        return ""
    count = f"{len(found.unreadable)} of {found.records} rows cannot be read"
    return f"; {count} ({len(found.unreadable) / found.records:.1%}), and {allowed:.1%} may be left out"
