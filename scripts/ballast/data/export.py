"""Export a subset for use elsewhere: its rows as in the pool's own file, and code that loads them."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from ballast import plugins
from ballast.data import forms, own
from ballast.data.rows import PAIR
from ballast.files import BallastError

ALPACA = forms.Form(forms.ALPACA, {part: part for part in PAIR})
# LLaMA-Factory's names for the parts of a pair.
FACTORY = {"instruction": "prompt", "input": "query", "output": "response"}


@dataclass
class Exported:
    """A subset's rows in the pool's form: by id the record's number in the file, and the record.

    `remarks` counts rows by remark (forms.py); `rewritten` counts chats with other keys or speakers than in the file.
    """

    form: forms.Form
    rows: dict[str, tuple[int, dict]]
    remarks: Counter = field(default_factory=Counter)
    rewritten: int = 0


def own_rows(
    pool: pd.DataFrame, ids: list[str], path: str | None, format: str | None, columns: Mapping, where: Mapping
) -> Exported:
    """Return the records of the pool's file for `ids`, and their form.

    If the pool's reader knows only one schema, or a model made the pool, the form is Alpaca's and the numbers are those
    of `pool` (id, instruction, input, output). Raises BallastError if the file no longer has a row.
    """
    reader = plugins.load("readers", format) if format else None
    if path is None or not hasattr(reader, "FORM"):
        rows = pool.reset_index(drop=True)
        rows = rows[rows["id"].isin(ids)]
        found = {row.id: (row.Index, {part: getattr(row, part) for part in PAIR}) for row in rows.itertuples()}
        return Exported(ALPACA, found)
    form = own.detect(path, reader.FORM, columns)
    wanted, found = set(ids), Exported(form, {})
    for row, number, record, pair in own.rows(path, form, where):
        if row in wanted and row not in found.rows:
            found.rows[row] = (number, record)
            found.remarks.update(pair.remarks)
    if len(found.rows) < len(wanted):
        lacking = sorted(wanted - found.rows.keys())[0]
        raise BallastError(f"{path}: row {lacking} is no longer there; run again, so that the pool is read anew")
    return _alike(found)


def _alike(found: Exported) -> Exported:
    """Drop optional columns that no row has; write all chats as role and content if they differ in keys or speakers."""
    there = {column for _, record in found.rows.values() for column, value in record.items() if value is not None}
    columns = {part: name for part, name in found.form.columns.items() if part not in forms.OPTIONAL or name in there}
    found.form = forms.Form(found.form.name, columns)
    if found.form.name == forms.MESSAGES:
        column = columns["messages"]
        chats = {row: record[column] for row, (_, record) in found.rows.items()}
        plain = {row: forms.chat(chat) for row, chat in chats.items()}
        said = {word for row, chat in chats.items() for word in _words(chat, plain[row])}
        if len(said) > len({kind for kind, _ in said}) or not all(isinstance(chat, list) for chat in chats.values()):
            found.rewritten = sum(chat != plain[row] for row, chat in chats.items())
            found.rows = {row: (number, record | {column: plain[row]}) for row, (number, record) in found.rows.items()}
    return found


def _words(chat, plain: list[dict]) -> set[tuple[str, str]]:
    """Return a chat's names for role, content and each speaker, with their kinds."""
    found = set()
    for message, other in zip(chat, plain, strict=True) if isinstance(chat, list) else []:
        keys = [key for key, value in message.items() if value is not None]
        role, content = (next(key for key in names if key in keys) for names in (forms.ROLE, forms.CONTENT))
        found |= {("role", role), ("content", content), (other["role"], message[role])}
    return found


def json_lines(rows: list[dict]) -> str:
    """Return one record per line, with its own columns in their own order."""
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def dataset_info(name: str, form: forms.Form, record: dict) -> dict:
    """Return LLaMA-Factory's dataset_info.json, which tells it how to read subset.jsonl; its rows are like `record`."""
    if form.name != forms.MESSAGES:
        columns = {FACTORY.get(part, part): column for part, column in form.columns.items()}
        return {name: {"file_name": "subset.jsonl", "columns": columns}}
    role, content, names = _spoken(form, record)
    tags = {"role_tag": role, "content_tag": content} | {f"{who}_tag": name for who, name in names.items()}
    columns = dict(form.columns)
    return {name: {"file_name": "subset.jsonl", "formatting": "sharegpt", "columns": columns, "tags": tags}}


def _spoken(form: forms.Form, record: dict) -> tuple[str, str, dict[str, str]]:
    """Return a chat's keys for role and content, and its names for user, assistant and system."""
    chat = record[form.columns["messages"]]
    chat = chat if isinstance(chat, list) else []
    keys = {key for message in chat for key in message}
    role, content = (next((key for key in names if key in keys), names[0]) for names in (forms.ROLE, forms.CONTENT))
    said = {forms.ROLES.get(str(message.get(role)).lower()): message.get(role) for message in chat}
    return role, content, {who: said.get(who, who) for who in ("user", "assistant", "system")}


def for_trl(form: forms.Form, record: dict) -> str:
    """Return code that turns loaded rows (like `record`) into a shape that TRL trains on; empty if they have one."""
    columns = form.columns
    if form.name == forms.MESSAGES:
        return _chats_for_trl(columns, *_spoken(form, record))
    prompt = f'row["{columns["instruction"]}"]'
    if "input" in columns:
        prompt = f'"\\n".join(filter(None, [{prompt}, row["{columns["input"]}"]]))'
    answer = f'row["{columns["output"]}"]'
    if "system" in columns or "history" in columns:
        return _turns_for_trl(columns, prompt, answer)
    if (columns["instruction"], columns["output"]) == ("prompt", "completion") and "input" not in columns:
        return ""
    return f'.map(lambda row: {{"prompt": {prompt}, "completion": {answer}}})'


def _turns_for_trl(columns: Mapping[str, str], prompt: str, answer: str) -> str:
    """Return code for rows whose system message and earlier turns stand in columns of their own."""
    parts = [_system_for_trl(columns["system"])] if "system" in columns else []
    if "history" in columns:
        round = '({"role": "user", "content": asked}, {"role": "assistant", "content": said})'
        parts.append(f'*(message for asked, said in row["{columns["history"]}"] or [] for message in {round})')
    parts.append(f'{{"role": "user", "content": {prompt}}}')
    lines = ",\n            ".join(parts)
    return (
        f'.map(\n    lambda row: {{\n        "prompt": [\n            {lines},\n        ],\n'
        f'        "completion": [{{"role": "assistant", "content": {answer}}}],\n    }}\n)'
    )


def _system_for_trl(column: str) -> str:
    return f'*([{{"role": "system", "content": row["{column}"]}}] if row["{column}"] else [])'


def _chats_for_trl(columns: Mapping[str, str], role: str, content: str, names: dict[str, str]) -> str:
    column = columns["messages"]
    others = {name: who for who, name in names.items() if name != who}
    if (role, content) == ("role", "content") and not others and "system" not in columns:
        return "" if column == "messages" else f'.rename_column("{column}", "messages")'
    spoken = f'message["{role}"]'
    if others:
        # TRL renames the keys of such chats itself, but not the roles, and chat templates know no `human`.
        spoken = f"{json.dumps(others)}.get({spoken}, {spoken})"
    message = f'{{"role": {spoken}, "content": message["{content}"]}}'
    chat = f'{message} for message in row["{column}"]'
    if "system" in columns:
        chat = f"{_system_for_trl(columns['system'])}, *({chat})"
    removed = "" if column == "messages" else f'\n    remove_columns="{column}",'
    return f'.map(\n    lambda row: {{"messages": [{chat}]}},{removed}\n)'
