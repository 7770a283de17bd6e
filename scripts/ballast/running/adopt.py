"""Adopt finished artefacts under new code: make a few of each stage again, compare, and record the others as adopted.

A stage is all jobs of one rule with the same code identity before and now. Jobs that are pending for anything but code
stay pending, and so do the jobs behind them or behind a stage that differs. Rows of the manifest change before
Snakemake's records do, each file at once, so an artefact is pending or adopted whenever this ends.
"""

import json
import math
import os
import random
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ballast.files import BallastError, digest, read_json, write_json, writing
from ballast.running import libraries, used
from ballast.running.adopt_again import make_again
from ballast.running.adopt_compare import difference
from ballast.running.inside_plan import LISTED
from ballast.running.manifest import row_of

CODE = "code"
REFUSED = "their stage differs"
BEHIND = "behind a pending job"
NO_GPU = "made on a GPU, and this machine has none"


@dataclass
class Job:
    """A job of the plan, as `inside_plan.list_jobs` lists it; `state` is why it is pending, empty if it is not."""

    number: int
    rule: str
    needs: list[int]
    outputs: list[str]
    log: str
    state: str
    before: str = ""
    now: str = ""
    command: str = ""
    gpu: bool = False
    records: list[str] = field(default_factory=list)
    recorded: dict = field(default_factory=dict)
    tolerated: list[str] = field(default_factory=list)  # outputs that differ within the tolerance of a GPU

    @property
    def stage(self) -> tuple[str, str, str]:
        return self.rule, self.before, self.now

    def cost(self) -> tuple[float, str]:
        """Return the CPU seconds that the job's log states, infinite without a log; outputs break ties."""
        known = used.read(self.log) if self.log else None
        return known.seconds if known else math.inf, self.outputs[0]

    def rows(self) -> list[dict]:
        """Return the manifest rows of the outputs; raise BallastError if one is missing or of other code."""
        rows = [read_json(row_of(output)) for output in self.outputs]
        if not all(isinstance(row, dict) and row.get("code") in (self.before, self.now) for row in rows):
            raise BallastError("of other code")
        return rows


@dataclass
class Checked:
    """One stage: its jobs to adopt, those made again, and the first difference; empty if there is none."""

    stage: tuple[str, str, str]
    jobs: list[Job]
    checked: list[Job] = field(default_factory=list)
    wrong: str = ""

    def __str__(self) -> str:
        """Return the stage's row of the report, under HEAD."""
        rule, _, now = self.stage
        equal, adopted = len(self.checked) - bool(self.wrong), 0 if self.wrong else len(self.jobs)
        counts = (len(self.jobs), len(self.checked), equal, adopted)
        row = " ".join([*(f"{number:>7}" for number in counts), "", rule, *now.split(":")[1:]])
        if self.wrong:
            return f"{row}: refused\n    {self.wrong}"
        return f"{row}: {number} files differ within the tolerance" if (number := len(self.tolerated)) else row

    @property
    def tolerated(self) -> list[str]:
        return [file for job in self.checked for file in job.tolerated]


HEAD = "pending checked   equal adopted  stage"


def planned(command: str, targets: list[str], place: Path) -> tuple[list[Job], str]:
    """Return the jobs of a dry run in topological order, and the shell text before each command."""
    place.parent.mkdir(parents=True, exist_ok=True)
    asked = [sys.executable, "-m", "snakemake", *targets, *shlex.split(command)[1:], "--dry-run"]
    asked += ["--quiet", "rules", "progress"]
    environment = os.environ | {LISTED: str(place.absolute()), "BALLAST_PRELOAD": ""}
    place.unlink(missing_ok=True)
    done = subprocess.run(asked, env=environment, capture_output=True, text=True)
    if done.returncode or not place.exists():
        raise BallastError(f"`{command} --dry-run` fails: {done.stderr.strip()[-2000:]}")
    plan = read_json(place)
    if plan["locked"]:
        raise BallastError("another Snakemake works here, or was killed here; end it, or say `snakemake --unlock`")
    jobs = [Job(**entry) for entry in plan["jobs"]]
    for job in jobs:
        if job.state == CODE:
            try:
                job.rows()
            except BallastError:
                job.state = "without a manifest row of that code"
    return jobs, f"set -euo pipefail; {plan['prefix']}"


def ready(jobs: list[Job], stage: tuple[str, str, str]) -> list[Job]:
    """Return the jobs of one stage that are behind no pending job of another; `jobs` are in topological order."""
    waiting, found = set(), []
    for job in jobs:
        own = job.state == CODE and job.stage == stage
        if (job.state and not own) or not waiting.isdisjoint(job.needs):
            waiting.add(job.number)
        elif own:
            found.append(job)
    return found


def next_stage(jobs: list[Job]) -> list[Job]:
    """Return the jobs of a stage that can be adopted now, a whole stage before a part of one; empty at the end."""
    pending = Counter(job.stage for job in jobs if job.state == CODE)
    found = [(number, some) for stage, number in pending.items() if (some := ready(jobs, stage))]
    return min(found, key=lambda pair: pair[0] - len(pair[1]), default=(0, []))[1]


def drawn(jobs: list[Job], count: int, seed: int) -> list[Job]:
    """Draw `count` jobs among the cheaper half of a stage's (or among `count`, if that is more), cheapest first."""
    cheaper = sorted(jobs, key=Job.cost)[: max(count, math.ceil(len(jobs) / 2))]
    source = random.Random(f"{seed} {jobs[0].stage}")
    return sorted(source.sample(cheaper, min(count, len(cheaper))), key=Job.cost)


def adopt(jobs: list[Job], prefix: str, count: int, seed: int, folders: list[str], place: Path) -> Iterator[Checked]:
    """Check stage by stage, in the order of the data flow, and adopt those without a difference; yield each.

    `folders`: `results/...` of the study; `place`: an own folder, which keeps what was made again with a difference.
    """
    while some := next_stage(jobs):
        stage = Checked(some[0].stage, some)
        draw = drawn(some, count, seed)
        if any(job.gpu or _on_gpu(job.rows()) for job in draw) and not _has_gpu():
            for job in some:
                job.state = NO_GPU
            continue
        for job in draw:
            stage.checked.append(job)
            if wrong := check(job, prefix, folders, place / f"{job.rule}-{job.number}"):
                stage.wrong = wrong
                break
        if stage.wrong:
            for job in jobs:
                job.state = REFUSED if job.state == CODE and job.stage == stage.stage else job.state
        else:
            how = {"from": stage.stage[1], "checked": [job.outputs[0] for job in draw], "tolerated": stage.tolerated}
            how |= {"of": len(some), "seed": seed, "version": libraries.own()}
            for job in some:
                take(job, how)
                job.state = ""
        yield stage


def check(job: Job, prefix: str, folders: list[str], place: Path) -> str:
    """Make a job again in the new folder `place`; return where its outputs differ, and remove the folder if nowhere."""
    files = [*job.outputs, *(str(row_of(output)) for output in job.outputs), job.log]
    there, succeeded = make_again(prefix + job.command, files, folders, place)
    if not succeeded:
        return f"{job.outputs[0]}: it cannot be made again: {there / job.log}"
    for output, row in zip(job.outputs, job.rows(), strict=True):
        if digest(there / output) == row["sha256"]:
            continue
        if digest(output) != row["sha256"]:
            return f"{output}: the finished file has other bytes than were written; `snakemake verify` has the repair"
        if wrong := difference(output, there / output, _on_gpu([row, read_json(there / row_of(output))])):
            return f"{output}: {wrong}; made again: {there / output}"
        job.tolerated.append(output)
    shutil.rmtree(place)
    return ""


def take(job: Job, how: dict) -> None:
    """Record a job's outputs as adopted, first in the manifest, then in Snakemake's records."""
    for output, row in zip(job.outputs, job.rows(), strict=True):
        write_json(row_of(output), row | {"code": job.now, "adopted": [*row.get("adopted", []), how]})
    for place in map(Path, job.records):
        # The name of a record may be as long as a name can be.
        whole = place.with_name(f".adopted.{os.getpid()}")
        with writing(place):
            try:
                whole.write_text(json.dumps(read_json(place) | job.recorded))
                shutil.copymode(place, whole)
                whole.replace(place)
            finally:
                whole.unlink(missing_ok=True)


def left(jobs: list[Job]) -> list[str]:
    """Return why jobs are left pending: a line for each reason, with their number. Jobs behind others get a state."""
    waiting = set()
    for job in jobs:
        if job.state or not waiting.isdisjoint(job.needs):
            waiting.add(job.number)
            job.state = BEHIND if job.state in ("", CODE) and job.outputs else job.state
    reasons = Counter(job.state for job in jobs if job.state)
    return [f"  {number}: {reason}" for reason, number in reasons.most_common()]


def _on_gpu(rows: list[dict]) -> bool:
    return any(row.get("device", "cpu") != "cpu" for row in rows)


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()
