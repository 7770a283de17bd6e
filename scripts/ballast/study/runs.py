"""The runs of a study: which adapters there are, and the seeds that each one draws from."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace

from ballast.study.config import Study
from ballast.study.methods import NONE, Method
from ballast.study.sections import Experiment


@dataclass(frozen=True, order=True)
class Run:
    """One adapter and all that is measured on it."""

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


def runs(study: Study) -> list[Run]:
    """Every run that an experiment names, once, sorted."""
    return sorted(_metrics(study))


def trained(study: Study) -> list[Run]:
    """The runs of which an adapter is trained: a transformed one is trained as the method that it is of."""
    found = set()
    for run in runs(study):
        while of := study.method(run.sampler).of:
            run = replace(run, sampler=of)
        found.add(run)
    return sorted(found)


def subset(study: Study, run: Run) -> str | None:
    """The subset's file stem below results/<study>/subsets/; None where the trainer picks from the whole pool.

    Models share a subset unless its sampler reads what the model itself says of the pool.
    """
    method = study.method(run.sampler)
    if method.whole_pool:
        return None
    folder = f"{run.model}/{run.pool}" if method.picks_by_model else run.pool
    return f"{folder}/{method.picker}/n{method.n(run.n)}/t{run.trial}"


def measured(study: Study) -> dict[str, list[str]]:
    """The folder of every run and of every model as it is, and the metrics that an experiment asks of it.

    Models as they are get the four metrics and all others that an experiment names. A metric that compares two runs is
    measured on both of them, and on none that has no counterpart.
    """
    asked = {run.path: names for run, names in sorted(_metrics(study).items())}
    everything = {name for name, _ in study.metrics}.union(*asked.values())
    asked |= {as_is_path(model): set(everything) for model in study.as_is}
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
    """The one of `paths` that a run is compared with: the same model, pool, n and trial, by the sampler `against`.

    Base data alone has no n, and is the same whatever the pool: that of another pool will do. None where `paths` has no
    counterpart.
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
    """The folder of a model that is measured without fine-tuning."""
    return f"{model}/{AS_IS}"


def from_path(path: str) -> Run:
    """The run of a folder name; a model as it is has pool `-`, n 0 and trial 0."""
    model, *rest = path.split("/")
    if rest == [AS_IS]:
        return Run(model, "-", AS_IS, 0, 0)
    pool, sampler, n, trial = rest
    return Run(model, pool, sampler, int(n.removeprefix("n")), int(trial.removeprefix("t")))


def seed(study_seed: int, purpose: str, trial: int) -> int:
    """A 31-bit seed: sampling and training draw from different ones, and neither depends on the other."""
    digest = hashlib.sha256(f"{study_seed}|{purpose}|{trial}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
