"""Recognise the forms of fine-tuning files by their columns, and turn their rows into Ballast's pairs.

alpaca: instruction, input (may be absent), output. prompt-response: two columns of text, under their usual names.
messages: one column with a chat, as role and content (OpenAI, TRL) or from and value (ShareGPT). Earlier turns may
stand in `history` (LLaMA-Factory), a system message in `system` or `system_prompt`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from ballast.data import absent, marks
from ballast.data.absent import present
from ballast.data.named import listed, near
from ballast.data.records import records
from ballast.data.rows import PAIR
from ballast.files import DECODER, UNREADABLE_JSON, BallastError

ALPACA, PROMPT_RESPONSE, MESSAGES, AUTO = "alpaca", "prompt-response", "messages", "auto"
# The usual names of each part. The first that a file has counts; case does not matter.
BESIDE = {"history": ("history",), "system": ("system", "system_prompt"), "tools": ("tools",)}
NAMES = {
    MESSAGES: {"messages": ("messages", "conversations", "conversation", "chat", "dialogue"), **BESIDE},
    ALPACA: {"instruction": ("instruction",), "input": ("input",), "output": ("output",), **BESIDE},
    PROMPT_RESPONSE: {
        "instruction": ("prompt", "question", "query", "request", "instruction", "input"),
        "input": ("input", "context"),
        "output": ("response", "answer", "completion", "output"),
        **BESIDE,
    },
}
OPTIONAL = {"input", *BESIDE}
ROLE, CONTENT = ("role", "from"), ("content", "value")
ROLES = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "bot", "model"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
}
# Roles that are not read; a message about any other does not repeat it, since it may be a text.
OTHER_ROLES = (None, "tool", "function", "function_call", "observation", "ipython", "tool_call", "tool_response")
SAMPLE = 100  # records read to detect a file's form
PART = 16_384  # rows held as Python objects at a time
TURNS = "turns"  # column of the earlier and last requests of a chat, as JSON; only where a row has several


class Unreadable(Exception):
    """The reason why a row is not a pair."""


@dataclass(frozen=True)
class Form:
    """A form, and the column that holds each part: instruction, input and output, or messages."""

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Pair:
    """One row's three texts, and what else its record says.

    `turns`: role and text of each message before the answer, if there are several, which a chat template renders.
    `remarks`: words of REMARKS that hold for the row.
    """

    instruction: str
    input: str
    output: str
    turns: tuple[tuple[str, str], ...] = ()
    remarks: tuple[str, ...] = ()


# Remarks on a row, and their words in the report of `inspect` and on a card, after the number of rows.
SYSTEM, SEVERAL, UNTAUGHT, UNANSWERED, TOOLS = "system", "several", "untaught", "unanswered", "tools"
ABSENT_PART, NOT_APPLICABLE = "absent", "not applicable"
REMARKS = {
    SYSTEM: "have a system message, which is not read (a model's own is models.<name>.system); exported rows keep it",
    SEVERAL: "are chats with several requests: one answer is learnt; a chat template gets the turns before it, another "
    "template a transcript",
    UNTAUGHT: "end with an answer that is not to be learnt (weight 0 or train false); an earlier one is taken",
    UNANSWERED: "end with a request that has no answer, which is not read",
    TOOLS: "have tools, which are not read; exported rows keep them",
    ABSENT_PART: "hold a word for a missing value (nan, None, NULL) or only invisible characters, read as empty",
    NOT_APPLICABLE: "have a response such as N/A, none or -, which is kept",
}
# Reasons for which a file's rows are left out.
UNREADABLE, FILTERED = "unreadable", "left out by where"


@dataclass
class Understood:
    """A file as pairs. `numbers`: each pair's record, from 0; `unreadable`: (record, reason) of the others.

    `filtered`: records that `where` leaves out; `remarks`: pairs by remark; `unread`: by column that is not read, how
    often each value occurs (marks.py).
    """

    form: Form
    records: int
    table: pd.DataFrame
    numbers: np.ndarray
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    filtered: int = 0
    remarks: Counter = field(default_factory=Counter)
    unread: dict[str, Counter] = field(default_factory=dict)


def understand(
    path: str | Path, name: str = AUTO, columns: Mapping[str, str] | None = None, where: Mapping | None = None
) -> Understood:
    """Read a whole file and count rows that are no pair. Raises BallastError if the file has no known form."""
    waiting = records(path)
    sample = list(islice(waiting, SAMPLE))
    form = detect(path, sample, name, columns or {})
    chosen, unread = marks.Filter(where or {}), marks.Unread({*form.columns.values(), *(where or {})})
    found = Understood(form, 0, pd.DataFrame(), np.array([]))
    numbers, parts, rows = [], [], []
    for number, record in enumerate(chain(sample, waiting)):
        found.records = number + 1
        if not chosen.takes(record):
            found.filtered += 1
            continue
        unread.see(record)
        try:
            row = pair(record, form)
        except Unreadable as why:
            found.unreadable.append((number, str(why)))
            continue
        found.remarks.update(row.remarks)
        numbers.append(number)
        turns = json.dumps(row.turns, ensure_ascii=False) if row.turns else ""
        rows.append((row.instruction, row.input, row.output, turns))
        if len(rows) == PART:
            parts.append(_arrow(rows))
            rows = []
    chosen.check(path)
    table = pa.concat_tables([*parts, _arrow(rows)]).to_pandas()
    found.table = table if found.remarks[SEVERAL] else table.drop(columns=TURNS)
    found.numbers, found.unread = np.asarray(numbers, np.int64), unread.columns
    return found


def read(
    path: str | Path,
    name: str,
    columns: Mapping[str, str] | None = None,
    unreadable: float = 0,
    where: Mapping | None = None,
) -> pd.DataFrame:
    """Return instruction, input, output in file order. Raises BallastError if over a share `unreadable` has no pair.

    A column `turns` is there if a chat has several requests; `attrs["left_out"]` counts rows left out, by reason.
    """
    found = understand(path, name, columns, where)
    if found.unreadable and len(found.unreadable) > unreadable * (found.records - found.filtered):
        number, why = found.unreadable[0]
        raise BallastError(f"{path}: row {number}: {why}{_others(found, unreadable)}")
    if found.table.empty:
        raise BallastError(f"{path}: no rows")
    left_out = {UNREADABLE: len(found.unreadable), FILTERED: found.filtered}
    found.table.attrs["left_out"] = {why: count for why, count in left_out.items() if count}
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
            raise BallastError(f"{path}: no column '{column}', which columns.{part} names{near(column, there, path)}")
    names = [each for each in NAMES if given.keys() <= NAMES[each].keys() and not (given and each == ALPACA)]
    for each in names if name == AUTO else [name]:
        found = given.copy()
        for part, usual in NAMES[each].items():
            # Few rows may have an optional part, but a row that has it says more with it.
            known = counts if part in OPTIONAL else there
            if part not in found and (column := _column(path, usual, known, found.values())):
                found[part] = column
        lacking = [part for part in NAMES[each] if part not in found and part not in OPTIONAL]
        if not lacking:
            return Form(each, found)
    if len(sample) == 1 and all(isinstance(value, list | dict) for value in sample[0].values()):
        raise BallastError(f"{path}: wanted a list of objects, or an object a line (there are: {listed(there, path)})")
    if name != AUTO:
        raise BallastError(f"{path}: no column '{lacking[0]}' (there are: {listed(there, path)})")
    raise BallastError(
        f"{path}: no form that Ballast knows (there are: {listed(there, path)}); say which column is which in "
        "`columns`: {instruction: ..., output: ...} or {messages: ...}"
    )


def late(form: Form, columns: Iterable[str]) -> list[str]:
    """Return columns, of those that were not read, that are an optional part of the form by their name.

    They first stand in a row after the sample.
    """
    absent = OPTIONAL - form.columns.keys()
    usual = {name for part, names in NAMES[form.name].items() if part in absent for name in names}
    return [column for column in columns if column.lower().strip() in usual]


def _column(path: str | Path, usual: Iterable[str], there: Iterable[str], taken: Iterable[str]) -> str | None:
    """Return the first column with a usual name; raise BallastError if two have it, apart from case and spaces."""
    free = [column for column in there if column not in taken]
    for name in usual:
        found = [column for column in free if column.lower().strip() == name]
        if len(found) > 1:
            names = " and ".join(f"'{column}'" for column in found)
            raise BallastError(f"{path}: the columns {names} differ only in case or spaces; name one in `columns`")
        if found:
            return found[0]
    return None


def pairs(rows: Iterable[dict], form: Form) -> Iterator[Pair | str]:
    """Yield each record's pair, or the reason why it has none."""
    for record in rows:
        try:
            yield pair(record, form)
        except Unreadable as why:
            yield str(why)


def pair(record: dict, form: Form) -> Pair:
    """Return a record's pair; raise Unreadable if a part is missing, or is neither text nor chat.

    The last answer of a chat that is to be learnt is the output. The text before it is the instruction, as a transcript
    if it has more than one request. A system message belongs to the model's prompt (`models.<name>.system`) and is left
    out. A word that stands for a missing value, and text that nobody sees, is empty.
    """
    beside = {part for part in (SYSTEM, TOOLS) if _beside(record, form, part)}
    if form.name == MESSAGES:
        return _chat(_part(record, form, "messages"), beside)
    prompt, response = (_part(record, form, part) for part in ("instruction", "output"))
    if isinstance(prompt, list) and isinstance(response, list):  # TRL's prompt and completion may be chats
        return _chat([*prompt, *response], beside)
    context = record.get(form.columns.get("input"))
    texts = {"instruction": prompt, "input": "" if context is None else context, "output": response}
    for part, text in texts.items():
        if not isinstance(text, str):
            raise Unreadable(f"'{form.columns[part]}' is missing or not text")
    before = _history(_beside(record, form, "history"))
    if before:
        asked = "\n".join(filter(None, (present(prompt), present(texts["input"]))))
        return _answered([*before, ("user", asked)], response, beside)
    return _remarked(*texts.values(), beside)


def _remarked(prompt: str, context: str, response: str, remarks: set[str], turns: Sequence = ()) -> Pair:
    written = (prompt, context, response)
    texts = tuple(map(present, written))
    holds = {
        ABSENT_PART: any(text.strip() and not kept for text, kept in zip(written, texts, strict=True)),
        NOT_APPLICABLE: texts[-1].strip().lower() in absent.AS_ANSWER,
    }
    return Pair(*texts, tuple(turns), tuple(sorted(remarks | {name for name, true in holds.items() if true})))


def _beside(record: dict, form: Form, part: str):
    """Return an optional part's value; None if it is missing, empty or a word for a missing value."""
    value = record.get(form.columns.get(part))
    value = present(value) if isinstance(value, str) else value
    return None if value in ("[]", "{}") else value or None


def _history(rounds) -> list[tuple[str, str]]:
    """Return the messages of LLaMA-Factory's `history`: a list of requests with their answers."""
    rounds = _parsed(rounds) if isinstance(rounds, str) else rounds or []
    if isinstance(rounds, list) and all(isinstance(one, dict) for one in rounds):
        return [_message(number, message)[:2] for number, message in enumerate(rounds)]
    if not isinstance(rounds, list) or not all(isinstance(one, list) and len(one) == 2 for one in rounds):
        raise Unreadable("the history is no list of requests with their answers")
    if not all(isinstance(text, str) for one in rounds for text in one):
        raise Unreadable("the history holds something that is not text")
    return [said for asked, answer in rounds for said in (("user", asked), ("assistant", answer))]


def _part(record: dict, form: Form, part: str):
    column = form.columns[part]
    if column not in record:
        raise Unreadable(f"no column '{column}' (there are: {listed(record, known=form.columns.values())})")
    return record[column]


def _parsed(text: str):
    """Return the value of JSON in a CSV file's cell, None if it is none."""
    try:
        return DECODER.decode(text)
    except UNREADABLE_JSON:
        return None


def _chat(messages, remarks: set[str]) -> Pair:
    if isinstance(messages, str):  # in a CSV file
        messages = _parsed(messages)
        if messages is None:
            raise Unreadable("the chat is text, and no JSON list of messages")
    if not isinstance(messages, list) or not messages:
        raise Unreadable("the chat is missing or no list of messages")
    said = [_message(number, message) for number, message in enumerate(messages)]
    turns = [turn for turn in said if turn[0] != "system"]
    answers = [place for place, (role, *_) in enumerate(turns) if role == "assistant"]
    if not answers:
        raise Unreadable("the chat has no answer")
    taught = [place for place in answers if turns[place][2]]
    if not taught:
        raise Unreadable("the chat's messages mark every answer as not to be learnt (weight 0 or train false)")
    last = taught[-1]
    before = [(role, text) for role, text, _ in turns[:last]]
    if not before or before[-1][0] != "user":
        raise Unreadable("the chat's last answer has no request before it")
    holds = {
        SYSTEM: len(turns) < len(said),
        UNTAUGHT: last < answers[-1],
        UNANSWERED: answers[-1] < len(turns) - 1,
    }
    return _answered(before, turns[last][1], remarks | {name for name, true in holds.items() if true})


def chat(messages) -> list[dict]:
    """Return a readable chat as role and content; other keys of its messages stay, apart from empty ones."""
    messages = _parsed(messages) if isinstance(messages, str) else messages
    others = {*ROLE, *CONTENT}
    kept = [{key: value for key, value in one.items() if key not in others and value is not None} for one in messages]
    said = [_message(number, message)[:2] for number, message in enumerate(messages)]
    return [{"role": role, "content": text} | rest for (role, text), rest in zip(said, kept, strict=True)]


def _answered(before: list[tuple[str, str]], response: str, remarks: set[str]) -> Pair:
    """Return the pair of a chat's messages before its answer, and the answer."""
    if len(before) == 1:
        return _remarked(before[0][1], "", response, remarks)
    transcript = "\n\n".join(f"{role.capitalize()}: {text}" for role, text in before)
    return _remarked(transcript, "", response, remarks | {SEVERAL}, _alternating(before))


def _alternating(messages: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return messages with those of one speaker in a row joined, as templates want; none if a user is not first."""
    groups = groupby(messages, key=itemgetter(0))
    return [(role, "\n\n".join(text for _, text in said)) for role, said in groups] if messages[0][0] == "user" else []


def _message(number: int, message) -> tuple[str, str, bool]:
    """Return a message's role, text and whether it is to be learnt."""
    if not isinstance(message, dict):
        raise Unreadable(f"message {number} is no object of role and content")
    role, content = _first(message, ROLE), _first(message, CONTENT)
    if str(role).lower() not in ROLES:
        raise Unreadable(f"message {number}: {_strange(role, content)} is none of user, assistant and system")
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        texts = [part.get("text") for part in content]
        content = "\n".join(texts) if all(isinstance(text, str) for text in texts) else None
    if not isinstance(content, str):
        raise Unreadable(f"message {number}: its content is missing or not text")
    return ROLES[str(role).lower()], content, marks.teaches(message)


def _strange(role, content) -> str:
    """Return a role that is not known, but never a text that stands in its place."""
    if str(content).strip().lower() in ROLES:
        return "what stands in place of the role (the role stands in place of the content)"
    return f"the role '{role}'" if role in OTHER_ROLES else "the role"


def _first(message: dict, keys: Iterable[str]):
    """Return the value of the first key that has one: a merged Parquet file has the keys of all its rows."""
    return next((message[key] for key in keys if message.get(key) is not None), None)


def _arrow(rows: list[tuple[str, str, str, str]]) -> pa.Table:
    names = (*PAIR, TURNS)
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table({name: pa.array(column, pa.large_string()) for name, column in zip(names, columns, strict=True)})


def _others(found: Understood, allowed: float) -> str:
    if len(found.unreadable) == 1 and not allowed:
        return ""
    asked = found.records - found.filtered
    count = f"{len(found.unreadable)} of {asked} rows cannot be read"
    return f"; {count} ({len(found.unreadable) / asked:.1%}), and {allowed:.1%} may be left out"
