"""Find second opinions: measured metrics of one benchmark whose judges differ and answer the same question."""

from collections.abc import Collection, Iterable, Iterator
from itertools import combinations

from ballast.identity import constant
from ballast.study import contracts
from ballast.study.config import Study

# The keys of a judge that decide its answers; `options` decide how they are counted.
ANSWERS = {"judge", "world", "path", "source", "endpoint", "template", "about"}


def pairs(study: Study, names: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of these metrics that are second opinions of each other, in the config's order.

    Judges answer one question if they declare one DIRECTION: harm, help or refusals. A win rate compares two runs and
    is no opinion of a response, nor is another count of the same answers, as of a judge with other `options`. The first
    metric of a benchmark and judge stands for the others.
    """
    first, answers = {}, {}
    for name in names:
        metric = study.every_metric[name]
        if metric.judge in study.judges:
            kind = constant(f"judges/{study.plugin(metric.judge)}", "DIRECTION")
            first.setdefault((metric.benchmark, metric.judge), (name, (metric.benchmark, kind)))
            answers[name] = study.judges[metric.judge].model_dump(include=ANSWERS)
    return [
        (one, other)
        for (one, here), (other, there) in combinations(first.values(), 2)
        if here == there and answers[one] != answers[other]
    ]


def compared(study: Study, names: Iterable[str]) -> list[dict]:
    """Return each pair for the checks: benchmark, judges, and the cut from which each judge flags, None without one."""
    every = study.every_metric
    return [
        {
            "benchmark": every[one].benchmark,
            "judges": [every[one].judge, every[other].judge],
            "cuts": [_cut(study, every[one].judge), _cut(study, every[other].judge)],
        }
        for one, other in pairs(study, names)
    ]


def of_metrics(study: Study, metrics: Collection[str], names: Iterable[str]) -> Iterator[dict]:
    """Yield the second judges of some metrics: metric, `by` (the metric of the judge), judge and its declaration."""
    for pair in pairs(study, names):
        for metric, by in (pair, pair[::-1]):
            if metric in metrics:
                judge = study.every_metric[by].judge
                yield {"metric": metric, "by": by, "judge": judge} | contracts.declared(study.plugin(judge))


def _cut(study: Study, judge: str) -> float | None:
    """Return the middle of a judge's scale."""
    known = contracts.declared(study.plugin(judge))
    scale = (0, 1) if known["unit"] == "%" else known["scale"]
    return sum(scale) / 2 if scale else None
