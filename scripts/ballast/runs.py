"""The runs of a study: which adapters there are, and the seeds that each one draws from."""

import hashlib
from dataclasses import dataclass, replace

from ballast.config import Study
from ballast.methods import NONE, Method
from ballast.sections import Experiment


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
    """The folder of every run and of every model as it is, and the metrics that an experiment asks of it."""
    trained = {run.path: sorted(names) for run, names in sorted(_metrics(study).items())}
    return trained | {as_is_path(model): sorted(name for name, _ in study.metrics) for model in study.as_is}


def _metrics(study: Study) -> dict[Run, set[str]]:
    found: dict[Run, set[str]] = {}
    for _, experiment in study.experiments:
        if experiment is not None:
            for model in experiment.models:
                for pool in experiment.pools:
                    for sampler in experiment.samplers:
                        method = study.method(sampler)
                        for n in experiment.n if method.whole_pool or method.sampler != NONE else [0]:
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
