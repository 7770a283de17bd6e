"""Export a subset for use elsewhere: its rows as in the pool's own file, and code that loads them."""

import json
from collections.abc import Iterator, Mapping

import pandas as pd

from ballast import plugins
from ballast.data import forms
from ballast.data.records import records
from ballast.data.rows import PAIR, content_id
from ballast.files import BallastError

ALPACA = forms.Form(forms.ALPACA, {part: part for part in PAIR})
# LLaMA-Factory's names for the parts of a pair.
FACTORY = {"instruction": "prompt", "input": "query", "output": "response"}


def own_rows(
    pool: pd.DataFrame, ids: list[str], path: str | None, format: str | None, columns: Mapping[str, str]
) -> tuple[forms.Form, dict[str, tuple[int, dict]]]:
    """Return the form of the pool's file, and for each id the number and content of its record there.

    If the pool's reader knows only one schema, or a model made the pool, the form is Alpaca's and the numbers are those
    of `pool` (id, instruction, input, output). Raises BallastError if the file no longer has a row.
    """
    reader = plugins.load("readers", format) if format else None
    if path is None or not hasattr(reader, "FORM"):
        rows = pool.reset_index(drop=True)
        rows = rows[rows["id"].isin(ids)]
        found = {row.id: (row.Index, {part: getattr(row, part) for part in PAIR}) for row in rows.itertuples()}
        return ALPACA, found
    form, numbered = _records(path, reader.FORM, columns)
    wanted, found = set(ids), {}
    for number, record in numbered:
        try:
            pair = forms.pair(record, form)
        except forms.Unreadable:
            continue
        row = content_id(pair.instruction, pair.input, pair.output)
        if row in wanted:
            found.setdefault(row, (number, record))
    if len(found) < len(wanted):
        lacking = sorted(wanted - found.keys())[0]
        raise BallastError(f"{path}: row {lacking} is no longer there; run again, so that the pool is read anew")
    return form, found


def _records(path: str, name: str, columns: Mapping[str, str]) -> tuple[forms.Form, Iterator[tuple[int, dict]]]:
    sample = [record for _, record in zip(range(forms.SAMPLE), records(path), strict=False)]
    return forms.detect(path, sample, name, columns), enumerate(records(path))


def json_lines(rows: list[dict]) -> str:
    """Return one record per line, with its own columns in their own order."""
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def dataset_info(name: str, form: forms.Form, record: dict) -> dict:
    """Return LLaMA-Factory's dataset_info.json, which tells it how to read subset.jsonl; its rows are like `record`."""
    if form.name != forms.MESSAGES:
        columns = {FACTORY[part]: column for part, column in form.columns.items()}
        return {name: {"file_name": "subset.jsonl", "columns": columns}}
    role, content, names = _spoken(form, record)
    tags = {"role_tag": role, "content_tag": content} | {f"{who}_tag": name for who, name in names.items()}
    columns = {"messages": form.columns["messages"]}
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
    columns = dict(form.columns)
    if form.name == forms.MESSAGES:
        return _chats_for_trl(columns["messages"], *_spoken(form, record))
    prompt = f'row["{columns["instruction"]}"]'
    if "input" in columns:
        prompt = f'"\\n".join(filter(None, [{prompt}, row["{columns["input"]}"]]))'
    elif (columns["instruction"], columns["output"]) == ("prompt", "completion"):
        return ""
    return f'.map(lambda row: {{"prompt": {prompt}, "completion": row["{columns["output"]}"]}})'


def _chats_for_trl(column: str, role: str, content: str, names: dict[str, str]) -> str:
    others = {name: who for who, name in names.items() if name != who}
    if (role, content) == ("role", "content") and not others:
        return "" if column == "messages" else f'.rename_column("{column}", "messages")'
    spoken = f'message["{role}"]'
    if others:
        # TRL renames the keys of such chats itself, but not the roles, and chat templates know no `human`.
        spoken = f"{json.dumps(others)}.get({spoken}, {spoken})"
    message = f'{{"role": {spoken}, "content": message["{content}"]}}'
    return (
        f'.map(\n    lambda row: {{"messages": [{message} for message in row["{column}"]]}},\n'
        f'    remove_columns="{column}",\n)'
    )
