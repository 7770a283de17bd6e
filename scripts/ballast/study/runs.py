"""List the runs of a study, their subsets and metrics, and derive their seeds."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import Protocol

from ballast.study.config import Study
from ballast.study.experiments import Experiment
from ballast.study.methods import NONE, Method


@dataclass(frozen=True, order=True)
class Run:
    """One adapter and all measurements on it."""

    model: str
    pool: str
    sampler: str
    n: int
    trial: int

    @property
    def path(self) -> str:
        """The run's folder below results/<study>/runs/."""
        return f"{self.model}/{self.pool}/{self.sampler}/n{self.n}/t{self.trial}"


AS_IS = "as-is"


class Named(Protocol):
    """A study, or a plan of one, which looks each method up once."""

    def method(self, name: str) -> Method: ...


def runs(study: Study) -> list[Run]:
    """Return every run that an experiment names, once, sorted."""
    return sorted(_metrics(study))


def trained(study: Study) -> list[Run]:
    """Return the runs whose adapter is trained; a transformed adapter counts as the run that it transforms."""
    found, named = set(), cache(study.method)
    for run in runs(study):
        while (method := named(run.sampler)).of:
            found |= {run} if method.patches else set()
            run = source(run, method.of, named(method.of))
        found.add(run)
    return sorted(found)


def source(run: Run, of: str, method: Method) -> Run:
    """Return the run of the method called `of` whose adapter a run changes; without safety examples it has no n."""
    return replace(run, sampler=of, n=run.n if method.adds_rows else 0)


def subset(study: Named, run: Run) -> str | None:
    """Return the subset's file stem below results/<study>/subsets/; None if the trainer picks from the whole pool.

    Models share a subset unless its sampler reads a feature that the model makes.
    """
    method = study.method(run.sampler)
    if method.whole_pool:
        return None
    folder = f"{run.model}/{run.pool}" if method.picks_by_model else run.pool
    return f"{folder}/{method.picker}/n{method.n(run.n)}/t{run.trial}"


def measured(study: Study) -> dict[str, list[str]]:
    """Return the folder of every run and of every model without fine-tuning, with the metrics of its experiments.

    Models without fine-tuning get every metric that an experiment or `measure` names; without them, the four metrics. A
    metric that compares two runs is measured on both; a run without a counterpart does not get it.
    """
    asked = {run.path: names for run, names in sorted(_metrics(study).items())}
    everything = set().union(*asked.values(), study.measure.metrics if study.measure else ())
    everything = everything or {name for name, _ in study.metrics}
    asked |= {as_is_path(model): set(everything) for model in study.measured_as_is}
    for path, names in [(path, set(names)) for path, names in asked.items()]:
        for name in names:
            judge = study.every_metric[name].judge
            if judge in study.pairwise:
                other = opponent(study, path, study.pairwise[judge].against, asked)
                if other is None:
                    asked[path].discard(name)
                else:
                    asked[other].add(name)
    return {path: sorted(names) for path, names in asked.items()}


def opponent(study: Study, path: str, against: str, paths: Collection[str]) -> str | None:
    """Return the path in `paths` to compare a run with: same model, pool, n and trial, by the sampler `against`.

    A run on base data alone has no n and does not depend on the pool, so one of another pool also fits. None if `paths`
    has no counterpart.
    """
    run = from_path(path)
    pools = [run.pool, *study.pools] if against == NONE else [run.pool]
    n = 0 if against == NONE else run.n
    wanted = [Run(run.model, pool, against, n, run.trial).path for pool in pools]
    if against == AS_IS:
        wanted = [as_is_path(run.model)]
    return next((other for other in wanted if other in paths), None)


def _metrics(study: Study) -> dict[Run, set[str]]:
    found: dict[Run, set[str]] = {}
    for _, experiment in study.experiments:
        if experiment is not None:
            for model in experiment.models:
                for pool in experiment.pools:
                    for sampler in experiment.samplers:
                        method = study.method(sampler)
                        for n in experiment.n if method.adds_rows else [0]:
                            for trial in range(_trials(experiment, method)):
                                found.setdefault(Run(model, pool, sampler, n, trial), set()).update(experiment.metrics)
    return found


def _trials(experiment: Experiment, method: Method) -> int:
    return experiment.trials if method.seeded else experiment.deterministic_trials or experiment.trials


def as_is_path(model: str) -> str:
    """Return the folder of a model that is measured without fine-tuning."""
    return f"{model}/{AS_IS}"


def from_path(path: str) -> Run:
    """Return the run of a folder name; a model without fine-tuning has pool `-`, n 0 and trial 0."""
    model, *rest = path.split("/")
    if rest == [AS_IS]:
        return Run(model, "-", AS_IS, 0, 0)
    pool, sampler, n, trial = rest
    return Run(model, pool, sampler, int(n.removeprefix("n")), int(trial.removeprefix("t")))


def seed(study_seed: int, purpose: str, trial: int) -> int:
    """Return a 31-bit seed; sampling and training get different, independent ones."""
    digest = hashlib.sha256(f"{study_seed}|{purpose}|{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
