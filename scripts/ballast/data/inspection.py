"""Report how Ballast reads a study's base data and pools, and what in them would ruin a result.

A report never holds the text of a row. It names rows by their number in the file, from 0.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pandas as pd

from ballast import plugins
from ballast.asking import thinking
from ballast.data import forms, held_out, marks, overlap
from ballast.data import languages as spoken_of
from ballast.data import leaks as leaks_of
from ballast.data.named import listed
from ballast.data.refusal_words import is_refusal
from ballast.data.rows import LEAKED, PAIR, pairs_to_judge, usable
from ballast.files import BallastError

TOLD = 3  # rows that a finding names, at most
TOLD_COLUMNS = 8
NEAR = "near"


@dataclass(frozen=True)
class Notice:
    """One sentence about the data; `stops`: the study must not run with it."""

    stops: bool
    said: str


@dataclass
class Dataset:
    """Base data or a pool after reading: its requests and responses, with counts of what was left out or joined."""

    name: str
    path: str
    form: str
    columns: dict[str, str]
    records: int
    rows: pd.DataFrame
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    remarks: Mapping[str, int] = field(default_factory=dict)
    unread: dict[str, Counter] = field(default_factory=dict)
    learnt: Sequence[str] = ()
    reads: Sequence[str] = ()
    wanted: tuple[int | None, int | None, int | None] = (None, None, None)
    left_out: dict[str, int] = field(default_factory=dict)

    def use(self, leaks: Iterable[pd.DataFrame], dropped: bool) -> None:
        """Mark the rows that the study uses, in a column `used`; count the others by reason.

        `dropped`: leaks are left out. Rows that an aligned start has learnt always are.
        """
        leaked = {row for found in leaks for row in found["row"]}
        aside = {LEAKED: leaked} if dropped else {}
        if self.learnt:
            aside[held_out.REASON] = held_out.known(self.rows, self.learnt)
        texts = self.rows[[column for column in (*PAIR, forms.TURNS) if column in self.rows]]
        used, left_out = usable(texts, self.is_pool, aside, *self.wanted)
        self.rows["used"] = self.rows.index.isin(used.index)
        self.left_out |= left_out

    @property
    def is_pool(self) -> bool:
        return self.name != "base"

    def told(self, mask: np.ndarray) -> str:
        """Return the numbers of the first few rows in `mask`, as text."""
        return _told(self.rows["number"].to_numpy()[np.asarray(mask)].tolist())


@dataclass
class Inspection:
    """The result of an inspection. `leaks`: rows whose request a benchmark has too, exactly or nearly."""

    datasets: list[Dataset]
    benchmarks: dict[str, int]
    leaks: pd.DataFrame
    findings: list[Notice]

    def stops(self) -> list[str]:
        return [finding.said for finding in self.findings if finding.stops]


def read(
    name: str,
    path: str,
    format: str,
    columns: dict[str, str],
    where: dict | None = None,
    rows: int | None = None,
    order_seed: int | None = None,
    learnt: Sequence[str] = (),
    longest: int | None = None,
    labels: Sequence[str] = (),
    reads: Sequence[str] = (),
) -> Dataset:
    """Return a dataset with rows number, request, response, repeat and their parts; unreadable rows are counted.

    `rows`, `order_seed` and `longest` say which rows the study uses, as for `rows.usable`; `labels` names the columns
    that label a pool, which later jobs read; `reads` the languages of the judge that labels it.
    """
    reader = plugins.load("readers", format)
    if hasattr(reader, "FORM"):
        found = forms.understand(path, reader.FORM, columns, where)
        table, numbers = found.table, found.numbers
        known = [found.form.name, dict(found.form.columns), found.records]
        unread = {column: values for column, values in found.unread.items() if column not in labels}
        aside = {"unreadable": found.unreadable, "remarks": found.remarks, "unread": unread}
        aside["left_out"] = {forms.UNREADABLE: len(found.unreadable), forms.FILTERED: found.filtered}
    else:
        table = reader.read(path)
        aside = {"left_out": table.attrs.get("left_out", {})}
        numbers, known = np.arange(len(table)), [format, {}, len(table) + sum(aside["left_out"].values())]
    asked = pairs_to_judge(table)
    repeat = table.duplicated(list(PAIR))
    read = table.assign(number=numbers, request=asked["prompt"], response=asked["response"], repeat=repeat)
    return Dataset(name, path, *known, read, **aside, learnt=learnt, reads=reads, wanted=(rows, order_seed, longest))


def inspect(datasets: Sequence[Dataset], benchmarks: dict[str, pd.DataFrame], options: dict) -> Inspection:
    """Inspect all datasets and what they share. `benchmarks`: name to table with prompt and id.

    `options`: `checks` (the config's section), `asked` (by pool, the number of rows wanted of each behaviour, or of
    `any`) and `labeller` (the judge that labels behaviour).
    """
    checks, findings, leaks, hashed = options["checks"], [], [], {}
    for data in datasets:
        findings += _readable(data, checks) + _marked(data)
        if not data.rows.empty:
            asked = leaks_of.Asked(data.rows)
            held = {name: asked.find(table["prompt"].tolist()) for name, table in benchmarks.items()}
            hashed[data.name] = overlap.Hashed.of(data.rows["request"].tolist())
            data.use(held.values(), checks["leaks"] == "drop")
            requests = hashed[data.name].only(data.rows["used"].to_numpy())
            for name, table in benchmarks.items():
                leaks.append(_leaks(data, held[name], name, table, checks["leaks"] == "drop", requests))
                findings += _leaked(data, name, leaks[-1], len(table), checks["leaks"])
    base = next(data for data in datasets if not data.is_pool)
    for data in datasets:
        if data.is_pool and not data.rows.empty:
            asked = options["asked"].get(data.name.removeprefix("pools/"), {})
            findings += _pool(data, base, asked, options, hashed[data.name])
    columns = ["dataset", "row", "benchmark", "id", "kind", "cosine"]
    found = pd.concat(leaks, ignore_index=True) if leaks else pd.DataFrame(columns=columns)
    sizes = {name: len(table) for name, table in benchmarks.items()}
    return Inspection(list(datasets), sizes, found[columns], sorted(findings, key=lambda finding: not finding.stops))


def _readable(data: Dataset, checks: dict) -> list[Notice]:
    found = []
    if not data.records or data.rows.empty:
        why = f": row {data.unreadable[0][0]}: {data.unreadable[0][1]}" if data.unreadable else ""
        return [Notice(True, f"{data.path}: no row can be read{why}")]
    lost, share = len(data.unreadable), len(data.unreadable) / data.records
    if lost:
        number, why = data.unreadable[0]
        more = f"correct the file, or raise checks.unreadable ({checks['unreadable']:.1%})"
        said = (
            f"{data.path}: {lost} of {data.records} rows cannot be read ({share:.1%}), the first is row {number}: {why}"
        )
        stops = share > checks["unreadable"]
        found.append(Notice(stops, f"{said}; {more if stops else 'they are left out'}"))
    for part in ("request", "response"):
        empty = data.rows[part].str.strip().eq("").to_numpy()
        if empty.any():
            share = float(empty.mean())
            said = f"{data.path}: {empty.sum()} rows have an empty {part} ({share:.1%}), such as {data.told(empty)}"
            stops = share > checks["empty"]
            kept = "left out" if data.is_pool and part == "response" else "kept"
            more = f"remove them, or raise checks.empty ({checks['empty']:.1%})" if stops else f"they are {kept}"
            found.append(Notice(stops, f"{said}; {more}"))
    found += [Notice(False, f"{data.path}: {count} rows {forms.REMARKS[name]}") for name, count in data.remarks.items()]
    thoughts = np.array([thinking.answer(response) != response for response in data.rows["response"]])
    if thoughts.any():
        said = (
            f"{data.path}: {thoughts.sum()} responses have reasoning before the answer, such as {data.told(thoughts)}"
        )
        stops = checks["reasoning"] == "stop"
        more = "take it out, or set checks.reasoning to keep" if stops else "it is trained as it stands"
        found.append(Notice(stops, f"{said}; {more}"))
    spoken = languages(data)
    foreign = spoken_of.foreign(spoken)
    if sum(foreign.values()) > spoken_of.FOREIGN:
        said = f"{data.path}: {sum(foreign.values()):.0%} of the rows are not English"
        unread = spoken_of.foreign(spoken, data.reads) if data.reads else {}
        stops = sum(unread.values()) > spoken_of.FOREIGN
        more = f"the judge that labels behaviour reads {', '.join(data.reads)}; docs/own-data.md says what to do"
        plain = "a labeller or encoder that does not read them stops, and the paper's results are for English"
        found.append(Notice(stops, f"{said} ({', '.join(foreign)}); {more if stops else plain}"))
    return found


def _marked(data: Dataset) -> list[Notice]:
    """Return what the columns say that are not read: those that mark rows not to be learnt stop the study."""
    found, plain = [], []
    for column, values in data.unread.items():
        refused = marks.refused(column, values) if marks.is_mark(column, values) else 0
        if refused:
            said = f"{data.path}: {refused} of {data.records} rows are marked by '{column}' as not to be learnt"
            there, every = ", ".join(f"{value}: {values[value]}" for value in sorted(values)), ", ".join(sorted(values))
            more = f"choose by where: {{{column}: ...}}, or take all by where: {{{column}: [{every}]}}"
            found.append(Notice(True, f"{said} ({there}); {more}"))
        else:
            plain.append(column)
    for column in forms.late(forms.Form(data.form, data.columns), plain) if data.unread else []:
        said = f"{data.path}: the column '{column}' first stands after row {forms.SAMPLE - 1}, so it is not read"
        found.append(Notice(True, f"{said}; name it in `columns`, or remove it"))
    if plain:
        names = listed(plain, data.path, set(data.columns.values()), TOLD_COLUMNS)
        found.append(Notice(False, f"{data.path}: {len(plain)} columns are not read: {names}"))
    return found


def languages(data: Dataset) -> dict[str, float]:
    """Return the share of rows in each language, the most frequent first."""
    return spoken_of.shares([f"{row.request}\n{row.response}" for row in data.rows.itertuples()])


def _leaks(
    data: Dataset, held: pd.DataFrame, name: str, table: pd.DataFrame, dropped: bool, requests: overlap.Hashed
) -> pd.DataFrame:
    """Return rows that hold a prompt of a benchmark; for a prompt that none holds, its nearest row if near enough.

    Rows that the study does not use count only if they are left out for this reason (`dropped`). `requests`: those of
    the used rows.
    """
    used = np.flatnonzero(data.rows["used"])
    held = held if dropped else held[held["row"].isin(used)]
    nearest = overlap.near(table["prompt"].tolist(), requests)
    prompts = np.flatnonzero((nearest.place >= 0) & ~np.isin(np.arange(len(table)), held["place"]))
    near = pd.DataFrame(
        {
            "row": used[nearest.place[prompts]],
            "place": prompts,
            "kind": NEAR,
            "cosine": nearest.cosine[prompts].round(3),
        }
    )
    held = held.assign(cosine=1.0)
    both = pd.concat([part for part in (held, near) if len(part)] or [held], ignore_index=True)
    ids = table["id"].to_numpy()[both["place"].to_numpy(int)]
    numbers = data.rows["number"].to_numpy()[both["row"].to_numpy(int)]
    return both.assign(dataset=data.name, row=numbers, benchmark=name, id=ids)


def _leaked(data: Dataset, name: str, leaks: pd.DataFrame, size: int, checks: str) -> list[Notice]:
    found = []
    for kind, word in (("", "stand"), (NEAR, "nearly stand")):
        rows = leaks[(leaks["kind"] == NEAR) == bool(kind)]
        if len(rows):
            prompts, inside = rows["id"].nunique(), int((rows["kind"] == leaks_of.WITHIN).sum())
            said = f"{prompts} of the {size} prompts of {name} {word} in {data.path}, such as in {_told(rows['row'])}"
            said += f" ({inside} inside a longer text)" if inside else ""
            stops = not kind and checks == "stop"
            more = {
                ("", "stop"): "; remove the rows that leaks.csv lists, or set checks.leaks to drop",
                ("", "drop"): "; these rows are left out",
            }.get((kind, checks), "; leaks.csv lists them")
            found.append(Notice(stops, said + more))
    return found


def _pool(data: Dataset, base: Dataset, asked: dict[str, int], options: dict, requests: overlap.Hashed) -> list[Notice]:
    found = []
    own = ~data.rows["repeat"] & data.rows["response"].str.strip().ne("")
    rows = data.rows[own]
    if data.rows["repeat"].any():
        count, told = data.rows["repeat"].sum(), data.told(data.rows["repeat"])
        found.append(
            Notice(False, f"{data.path}: {count} rows repeat another, such as {told}; the first of each is kept")
        )
    twins = overlap.near(requests.only(own.to_numpy())).place >= 0
    if twins.any():
        said = f"{data.path}: {twins.sum()} rows have a near twin in the pool, so a subset may hold both"
        found.append(Notice(False, said))
    shared = overlap.exact(rows["request"].tolist(), base.rows["request"].tolist()) >= 0
    if shared.any():
        said = f"{shared.sum()} requests of {data.path} stand in {base.path} too"
        more = "so a model fine-tuned on base data alone has seen them; remove them from one"
        found.append(Notice(bool(shared.mean() > 0.5), f"{said}, {more}"))
    most = max(asked.values(), default=0)
    if len(rows) < most:
        said = f"{data.path}: {len(rows)} rows to choose from, but n = {most} is asked; ask for a smaller n"
        found.append(Notice(True, said))
    return found + _behaviours(data, rows, asked, options["labeller"])


def _behaviours(data: Dataset, rows: pd.DataFrame, asked: dict[str, int], labeller: str) -> list[Notice]:
    """Count responses that open as a refusal. The judge refusal-string uses only this, so shortfalls show early."""
    refusals = int(rows["response"].map(is_refusal).sum())
    found = [Notice(False, f"{data.path}: {refusals} of {len(rows)} responses open as a refusal")]
    if labeller != "refusal-string":
        if refusals in (0, len(rows)):
            which = "none open as a refusal" if not refusals else "all open as a refusal"
            found.append(Notice(False, f"{data.path}: {which}; samplers of the other behaviours may find no row"))
        return found
    have = {"T1": refusals, "T2": len(rows) - refusals, "T3": 0, "T4": 0}
    for behaviour, n in sorted(asked.items()):
        if have.get(behaviour, n) < n:
            said = f"{data.path}: n = {n} rows of behaviour {behaviour} are asked, and refusal-string labels"
            more = "ask for a smaller n, leave out the samplers of that behaviour, or label by wildguard"
            found.append(Notice(True, f"{said} {have[behaviour]} so; {more}"))
    return found


def findings_json(inspection: Inspection) -> dict:
    return {"findings": [asdict(finding) for finding in inspection.findings]}


def _told(numbers) -> str:
    numbers = list(numbers)
    return f"row{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers[:TOLD]))}"


def refuse(findings: dict) -> None:
    """Raise BallastError if a finding stops the study."""
    stops = [finding["said"] for finding in findings["findings"] if finding["stops"]]
    if stops:
        more = f" (and {len(stops) - 1} more: see the report)" if len(stops) > 1 else ""
        raise BallastError(f"{stops[0]}{more}")
