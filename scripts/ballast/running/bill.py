"""Compute a study's cost on a cluster of L40S GPUs before any job runs: GPU-hours by rule, disk, wall time.

`prices.py` has the price of a single job; this file adds them up.
"""

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from ballast.running.prices import RATES, Prices, Rate, Stage, known_rows

# The lines of the bill, in the order of the data flow.
BEFORE_RUNS = ("align", "warm_up", "gradients", "logprobs", "filter")
ORDER = ("rewrite", "behaviour", "category", *BEFORE_RUNS, "train", "generate", "judge", "pairwise")


@dataclass(frozen=True)
class Line:
    """One rule's line of the bill, in GPU-hours."""

    rule: str
    jobs: int
    cluster_jobs: int
    work: float = 0
    startup: float = 0

    @property
    def total(self) -> float:
        return self.work + self.startup

    @property
    def share(self) -> float:
        """Start-up as a share of the total, 0 to 1."""
        return self.startup / self.total if self.total else 0


@dataclass(frozen=True)
class Bill:
    """Lines per GPU rule and, last, for all CPU rules; gigabytes on disk; rows of each dataset that a GPU reads, with
    the source of that number; hours of the longest chain of jobs; the used rates; lines of a single run (`widest`)."""

    lines: list[Line]
    gigabytes: dict[str, float]
    rows: dict[str, tuple[int, str]]
    chain: float
    rates: dict[str, Rate]
    run: list[Line]

    @property
    def total(self) -> Line:
        return summed(self.lines)

    def wall(self, gpus: int) -> float:
        """Return hours on this many GPUs: the longest chain, or an even share of all GPU-hours if that is longer."""
        return max(self.chain, self.total.total / gpus)


def bill(options: dict) -> Bill:
    """Return the bill of a study; `options`: see running/bill_options.py. It only counts jobs if none needs a GPU.

    Raises BallastError if the number of rows of a dataset that a GPU reads is unknown.
    """
    engines, groups = options["engines"], options["groups"]
    labels = [Stage(rule, engines[rule], (pool,)) for rule, pools in options["labels"].items() for pool in pools]
    features = [
        Stage(job["rule"], engines[f"train {job['model']}"], (job["dataset"],), limit=job["limit"])
        for job in options["before_runs"]
    ]
    runs = [(run["jobs"], stages(run, engines)) for run in options["runs"]]
    jobs = [(1, stage) for stage in labels + features] + [(number, stage) for number, run in runs for stage in run]
    counts = Counter()
    for number, stage in jobs:
        counts[stage.rule, stage.about] += number
    cpu = {(rule, ""): number for rule, number in options["cpu_jobs"].items()}
    clusters = cluster_jobs(counts | cpu, groups)
    lines = {key: Line(" ".join(key).strip(), counts[key], clusters[key]) for key in sorted(counts, key=_place)}
    cpu_line = Line("CPU rules", sum(cpu.values()), sum(clusters[key] for key in cpu))
    if not options["gpu"]:
        return Bill([*lines.values(), cpu_line], {}, {}, 0, {}, [])

    rows = {name: known_rows(name, options["datasets"][name]) for _, stage in jobs for name in stage.datasets}
    known = {name: number for name, (number, _) in rows.items()}
    prices = Prices(options, known)

    def hours(line: Line, number: int, stage: Stage) -> Line:
        loads = line.cluster_jobs / line.jobs if kept(stage, groups) else 1
        held = number * stage.engine["gpus"] / 3600
        work, startup = held * prices.work(stage), held * prices.start(stage, loads)
        return replace(line, work=line.work + work, startup=line.startup + startup)

    gpus = {(stage.rule, stage.about): stage.engine["gpus"] for _, stage in jobs}
    for number, stage in jobs:
        key = stage.rule, stage.about
        lines[key] = hours(lines[key], number, stage)
    for key, line in lines.items():
        held = line.cluster_jobs * gpus[key] / 3600
        lines[key] = replace(line, startup=line.startup + held * prices.cluster_job())
    single = []
    for stage in stages(widest(options["runs"]), engines):
        line = lines[stage.rule, stage.about]
        # An average job's start-up, with its share of a group's cluster job.
        single.append(replace(hours(Line(line.rule, 1, 0), 1, stage), startup=line.startup / line.jobs))

    def lasts(stage: Stage) -> float:
        # The jobs of a group run one after another, and the next rule waits for all of them.
        together = min(groups.get(stage.rule, ("", 1))[1], counts[stage.rule, stage.about])
        loads = 1 / together if kept(stage, groups) else 1
        return (prices.cluster_job() + together * (prices.work(stage) + prices.start(stage, loads))) / 3600

    longest = {rule: max((lasts(stage) for stage in features if stage.rule == rule), default=0) for rule in BEFORE_RUNS}
    gradients = longest["warm_up"] + longest["gradients"]
    before = max([*map(lasts, labels), gradients, longest["logprobs"], longest["filter"]])
    # Everything that reads a model waits for its aligned start.
    chain = longest["align"] + before + max((sum(slowest(run, lasts).values()) for _, run in runs), default=0)
    gigabytes = prices.disk(jobs)
    rates = {name: rate for name, rate in RATES.items() if name in prices.used}
    return Bill([*lines.values(), cpu_line], gigabytes, rows, chain, rates, single)


def summed(lines: list[Line]) -> Line:
    """Return the sum of lines."""
    numbers = [field.name for field in fields(Line) if field.name != "rule"]
    return Line("total", *(sum(getattr(line, number) for line in lines) for number in numbers))


def widest(runs: list[dict]) -> dict:
    """Return a run of the most often trained model, with its largest n and the metrics of all runs."""
    trained = [run for run in runs if run["n"] is not None and not run.get("alone")]
    wanted = sorted({tuple(pair) for run in runs for pair in run["wanted"]})
    often = Counter()
    for run in trained:
        often[run["model"]] += run["jobs"]
    [(model, _)] = often.most_common(1) or [(runs[0]["model"], 0)]
    n = max((run["n"] for run in trained if run["model"] == model), default=None)
    return {"model": model, "n": n, "wanted": wanted}


def stages(run: dict, engines: dict) -> list[Stage]:
    """Return the GPU jobs of one run; `run`: model, n (None: no training), alone (without base data), wanted."""
    names = [f"benchmarks/{benchmark}" for benchmark, _ in run["wanted"]]
    judged = [(name, judge) for name, (_, judge) in zip(names, run["wanted"], strict=True) if judge in engines]
    read = () if run.get("alone") else ("base",)
    train = [] if run["n"] is None else [Stage("train", engines[f"train {run['model']}"], read, run["n"])]
    # A model elsewhere has no engine: a server answers, or a file has the responses.
    engine = engines.get(f"generate {run['model']}")
    generate = [Stage("generate", engine, tuple(sorted(set(names))))] if names and engine else []
    rules = {judge: "pairwise" if engines[judge]["compares"] else "judge" for _, judge in judged}
    return [*train, *generate, *(Stage(rules[judge], engines[judge], (name,), about=judge) for name, judge in judged)]


def slowest(run: list[Stage], lasts: Callable[[Stage], float]) -> dict[str, float]:
    """Return the hours that each rule of a run takes; its judges run in parallel."""
    found = {}
    for stage in run:
        found[stage.rule] = max(found.get(stage.rule, 0), lasts(stage))
    return found


def kept(stage: Stage, groups: dict[str, tuple[str, int]]) -> bool:
    """Return whether a cluster job's jobs load their model once: those of a judge whose group has its name."""
    return f"{{{stage.rule}}}" in groups.get(stage.rule, ("", 1))[0]


def _place(key: tuple[str, str]) -> tuple[int, str]:
    return ORDER.index(key[0]), key[1]


def cluster_jobs(counts: dict[tuple[str, str], int], groups: dict[str, tuple[str, int]]) -> dict[tuple[str, str], int]:
    """Count cluster jobs by rule and judge; `groups`: rule -> its group, and the group's parts per cluster job.

    If a group's name holds `{judge}` or `{pairwise}`, each judge has its own group.
    A run's train and judge jobs in the group of its generate job run in the same cluster job, so they count 0.
    """
    found, seen = {}, Counter()
    for (rule, about), number in counts.items():
        group, size = groups.get(rule, ("", 1))
        group = group.replace(f"{{{rule}}}", about)
        if rule in ("train", "judge") and group and groups.get("generate", (None, 1))[0] == group:
            number = 0
        # From the running sum: a cluster job may hold the last job of one line and the first of the next.
        before, seen[group] = math.ceil(seen[group] / size), seen[group] + number
        found[rule, about] = math.ceil(seen[group] / size) - before if group else number
    return found
