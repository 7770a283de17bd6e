"""Write the publication's next checks as a document: changes on other harmful prompts, with another judge's labels, and
after a second fine-tuning on benign data; and a second judge's opinion of the same responses.

Every difference is paired over trials and prompts, with its interval.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pandas as pd

from ballast.markup import DECIMALS, MISSING, markdown, pipe_table, with_interval
from ballast.names import BEHAVIOURS, NONE, RANDOM, REFERENCES, UNKNOWN, in_order, short_label
from ballast.results import metrics, second_opinion, statistics
from ballast.results.metrics import METRICS, Metric, metric_of
from ballast.results.statistics import Estimate

BOTH = (
    "Differences are paired over trials and prompts; in brackets the 95 % interval of the two-way bootstrap over both, "
    "uncorrected for how many there are."
)
OPEN = "no interval: fewer than two trials"


@dataclass(frozen=True)
class CheckOptions:
    """The options of the document, from workflow/rules/checks.smk. Without `model` it has second opinions only."""

    study: str
    synthetic: bool
    model: str = ""
    pool: str = ""  # the samplers of the other pools are compared with those of this one
    n: list[int] = field(default_factory=list)
    metrics: dict[str, dict] = field(default_factory=dict)  # the four -> benchmark, judge; the others -> their sections
    labellers: dict[str, str] = field(default_factory=dict)  # pool -> judge, of `pool` and those of the same rows
    subsets: list[list] = field(default_factory=list)  # [pool, sampler, n, file] of each trial
    then: dict[str, list[str]] = field(default_factory=dict)  # method -> [method that is trained further, task]
    opinions: list[dict] = field(default_factory=list)  # benchmark, judges, cuts of each
    stand_ins: dict[str, str] = field(default_factory=dict)


def document(options: CheckOptions, scores: pd.DataFrame, labels: Mapping[str, pd.DataFrame]) -> str:
    """Return the page in Markdown. `labels`: pool -> id, behaviour."""
    parts = [f"# Checks beyond the paper, study {markdown(options.study)}"]
    if options.model:
        parts += differences(options, scores, labels)
    for opinion in options.opinions:
        parts += second_opinion.section(scores, second_opinion.Opinion(**opinion))
    said = list(options.stand_ins.values())
    if options.synthetic:
        said.append("The study is synthetic: tiny models and a made language; it shows the workflow, not LLMs.")
    return "\n\n".join([*parts, *(["\n".join(f"- {one}" for one in said)] if said else [])]) + "\n"


def differences(options: CheckOptions, scores: pd.DataFrame, labels: Mapping[str, pd.DataFrame]) -> Iterator[str]:
    """Yield the checks that compare runs."""
    # The four come first; the options have their keys sorted.
    names = sorted(options.metrics, key=lambda name: list(METRICS).index(name) if name in METRICS else len(METRICS))
    cells = {name: _cells(options, scores, name) for name in names}
    yield BOTH
    yield from prompts(options, cells)
    for pool in options.labellers:
        if pool != options.pool:
            yield from another_judge(options, cells, labels, pool)
    yield from second_task(options, cells)


def prompts(options: CheckOptions, cells: dict) -> Iterator[str]:
    """Yield harm on every set of prompts that the harm judge scores, and differences from no safety data and Random."""
    judge = options.metrics["harm"]["judge"]
    sets = [name for name in cells if options.metrics[name]["judge"] == judge]
    yield "## Other harmful prompts"
    for n in options.n:
        names = _samplers(options, cells["harm"], n)
        rows = [
            [
                _metric(options, name).label,
                *(
                    _mean(_metric(options, name), _matrix(options, cells[name], sampler, n))
                    for sampler in [NONE, *names]
                ),
            ]
            for name in sets
        ]
        yield pipe_table([f"n = {n}", *(short_label(sampler) for sampler in [NONE, *names])], rows)
        pairs = [(sampler, NONE) for sampler in names] + [(sampler, RANDOM) for sampler in names if sampler != RANDOM]
        compared = [pair for pair in pairs if pair[1] == NONE or RANDOM in names]
        lines = []
        for ours, theirs in compared:
            found = {name: _difference(options, cells[name], ours, theirs, n) for name in sets}
            known = {name: one for name, one in found.items() if one.runs}
            lines.append([f"{short_label(ours)} minus {short_label(theirs)}", *(_said(found[name]) for name in sets)])
            lines[-1].append(f"{sum(map(_decided, known.values()))} of {len(known)}")
        header = [f"n = {n}", *(_metric(options, name).benchmark for name in sets), "interval without 0"]
        yield pipe_table(header, lines)


def another_judge(options: CheckOptions, cells: dict, labels: Mapping[str, pd.DataFrame], pool: str) -> Iterator[str]:
    """Yield the changes by the labels of another judge: counts, subsets, results."""
    first, second = options.labellers[options.pool], options.labellers[pool]
    yield f"## Behaviour labelled by {second} instead of {first}"
    both = labels[options.pool].merge(labels[pool], on="id", suffixes=("_first", "_second"), validate="one_to_one")
    counts = pd.crosstab(both["behaviour_first"], both["behaviour_second"])
    seen = [name for name in (*BEHAVIOURS, UNKNOWN) if name in counts.index or name in counts.columns]
    counts = counts.reindex(index=seen, columns=seen, fill_value=0)
    agree = 100 * (both["behaviour_first"] == both["behaviour_second"]).mean()
    yield f"They agree on {agree:.1f} % of {len(both):,} rows; rows by {first}, columns by {second}:"
    body = [[name, *counts.loc[name], counts.loc[name].sum()] for name in seen]
    yield pipe_table(["", *seen, "all"], [*body, ["all", *counts.sum(), len(both)]])
    if not counts.reindex(columns=["T3", "T4"], fill_value=0).to_numpy().any():
        yield f"{second} does not look at the request: it takes every one for harmful, so it says neither T3 nor T4."
    overlaps = list(_overlaps(options, pool))
    lines = [["Rows in common", *(common for _, _, common in overlaps)]]
    for name, known in cells.items():
        found = [_between(options, known, sampler, n, pool) for sampler, n, _ in overlaps]
        if any(one.runs for one in found):
            lines.append([_metric(options, name).label, *map(_said, found)])
    yield f"Rows that the two subsets have in common (mean over trials), then {second} minus {first}:"
    yield pipe_table(["", *(f"{short_label(sampler)}, n = {n}" for sampler, n, _ in overlaps)], lines)


def second_task(options: CheckOptions, cells: dict) -> Iterator[str]:
    """Yield the changes of each method by a second fine-tuning, and the share of its lead over no safety data left."""
    if not options.then:
        return
    yield "## A second fine-tuning on benign data"
    alone = {task: name for name, (of, task) in options.then.items() if of == NONE}
    for name, (of, task) in options.then.items():
        for n in [0] if of == NONE else options.n:
            rows = []
            for metric in cells:
                before, after = (_matrix(options, cells[metric], sampler, n) for sampler in (of, name))
                if before is not None and after is not None:
                    change = statistics.difference(after, before)
                    measure = _metric(options, metric)
                    rows.append([measure.label, _mean(measure, before), _mean(measure, after), _said(change)])
            yield f"### {markdown(short_label(of))}, n = {n}, then {markdown(task)}"
            yield pipe_table(["Metric", "Before", "After", "Change"], rows)
            if task in alone and of != NONE:
                yield _survival(options, cells["harm"], (of, name), alone[task], n)


def _survival(options: CheckOptions, cells: dict, pair: tuple[str, str], alone: str, n: int) -> str:
    """Return the lead over no safety data in harm, before and after the second task."""
    before = _difference(options, cells, NONE, pair[0], n)
    after = _difference(options, cells, alone, pair[1], n)
    text = (
        f"Harm below that of no safety data on the same tasks: {_said(before)} before, {_said(after)} after the second "
        "fine-tuning."
    )
    if not _decided(before):
        return f"{text} The first does not differ significantly from 0, so a surviving share would mean nothing."
    share = min(max(after.mean / before.mean, 0), 1)
    return f"{text} By the means {100 * share:.0f} % of it survives" + (
        "." if _decided(after) else ", not significantly different from 0."
    )


def _cells(options: CheckOptions, scores: pd.DataFrame, name: str) -> dict[tuple, pd.DataFrame]:
    """Return trials x prompts of a metric and the document's model by (pool, sampler, n); untrained, it has no pool."""
    metric, judge = _metric(options, name), options.metrics[name]["judge"]
    runs = metrics.run_values(scores[scores["model"] == options.model], metric, judge)
    found = metrics.matrices(scores, metric, judge, metric.benchmark, runs)
    return {(pool, sampler, n): table for (_, pool, sampler, n), table in found.items()}


def _metric(options: CheckOptions, name: str) -> Metric:
    return metric_of(name, options.metrics[name])


def _samplers(options: CheckOptions, cells: dict, n: int) -> list[str]:
    """Return samplers of the document's pool at n, without those trained on a second task."""
    names = {sampler for pool, sampler, size in cells if pool == options.pool and size == n}
    return [name for name in in_order(names) if name not in (*REFERENCES, *options.then)]


def _matrix(options: CheckOptions, cells: dict, sampler: str, n: int, pool: str | None = None) -> pd.DataFrame | None:
    return cells.get((pool or options.pool, sampler, n), cells.get((pool or options.pool, sampler, 0)))


def _difference(options: CheckOptions, cells: dict, ours: str, theirs: str, n: int) -> Estimate:
    return _paired(_matrix(options, cells, ours, n), _matrix(options, cells, theirs, n))


def _between(options: CheckOptions, cells: dict, sampler: str, n: int, pool: str) -> Estimate:
    """Return a sampler's value with `pool` minus its value with the document's pool."""
    return _paired(_matrix(options, cells, sampler, n, pool), _matrix(options, cells, sampler, n))


def _paired(ours: pd.DataFrame | None, theirs: pd.DataFrame | None) -> Estimate:
    return statistics.NOTHING if ours is None or theirs is None else statistics.difference(ours, theirs)


def _overlaps(options: CheckOptions, pool: str) -> Iterator[tuple[str, int, str]]:
    """Yield each sampler and n that both pools have, with the number of rows that their subsets share."""
    table = pd.DataFrame(options.subsets, columns=["pool", "sampler", "n", "trial", "file"])
    mine = table[table["pool"] == options.pool].merge(
        table[table["pool"] == pool], on=["sampler", "n", "trial"], suffixes=("_first", "_second")
    )
    for sampler in in_order(mine["sampler"]):
        for n, rows in mine[mine["sampler"] == sampler].groupby("n"):
            shared = [
                len({*_ids(first)} & {*_ids(second)})
                for first, second in zip(rows["file_first"], rows["file_second"], strict=True)
            ]
            yield sampler, int(n), f"{sum(shared) / len(shared):.1f} of {n}"


def _ids(path: str) -> pd.Series:
    return pd.read_csv(path, dtype={"id": str})["id"]


def _mean(metric: Metric, table: pd.DataFrame | None) -> str:
    """Return the mean over trials with its t-interval."""
    if table is None:
        return MISSING
    runs = pd.DataFrame({"value": table.mean(axis=1), **dict.fromkeys(metrics.COUNTS, 0)})
    runs = runs.assign(judged=table.notna().sum(axis=1), **dict.fromkeys(metrics.CELL, ""))
    return with_interval(*metrics.cells(runs, metric).iloc[0][["mean", "low_t", "high_t"]])


def _said(found: Estimate) -> str:
    if not found.runs:
        return MISSING
    if found.over == statistics.PROMPTS_ONLY:
        return f"{_signed(found.mean)} ({OPEN})"
    return f"{_signed(found.mean)} ({_signed(found.low)} to {_signed(found.high)})"


def _signed(value: float) -> str:
    # Adding 0 turns -0.00 into +0.00.
    return f"{round(value, DECIMALS) + 0:+.{DECIMALS}f}"


def _decided(found: Estimate) -> bool:
    """Return whether the interval excludes 0; one over prompts alone decides nothing."""
    return bool(found.runs) and found.over == statistics.TWO_WAY and not found.low <= 0 <= found.high
