"""Plan a study: its runs, methods, subsets and datasets, and where each lies below results/.

A `Plan` holds the checked config. It knows nothing of Snakemake, and reads no file of the study.
"""

from collections.abc import Iterable
from functools import cached_property
from typing import Protocol

from ballast.files import BallastError
from ballast.study.config import Study
from ballast.study.experiments import Experiment
from ballast.study.fine_tuning import AlignedRows
from ballast.study.methods import NONE, Method, plugin_constant
from ballast.study.places import Data, Place
from ballast.study.runs import AS_IS, Run, as_is_path, from_path, measured, runs, source, subset, trained
from ballast.study.sections import Judge, LanguageModel, Model

# Default readers of datasets; a benchmark's default is its name.
USUAL_FORMAT = {"pool": "alpaca", "base": "alpaca", "references": "beavertails"}


class Wildcards(Protocol):
    """The names in a job's output paths, as Snakemake gives them: each value is text."""

    def __getattr__(self, name: str) -> str: ...

    def get(self, name: str, default: str | None = None) -> str | None: ...


class Plan:
    """All files and runs of a checked study, by name."""

    def __init__(self, study: Study, results: str = "results"):
        self.study = study
        self.results = f"{results}/{study.study}"
        self.world = f"{results}/worlds/{study.world.name}"
        self.runs = runs(study)
        self.trained = trained(study)
        self.measured = measured(study)  # run path -> metrics
        self.metrics = {
            name: metric.model_dump(include={"benchmark", "judge"}) for name, metric in study.every_metric.items()
        }
        self._methods: dict[str, Method] = {}

    def method(self, name: str) -> Method:
        """Return the method that a run's `sampler` names."""
        if name not in self._methods:
            self._methods[name] = self.study.method(name)
        return self._methods[name]

    @cached_property
    def names(self) -> list[str]:
        """Names of all methods, sorted."""
        return sorted({run.sampler for run in {*self.runs, *self.trained}})

    @cached_property
    def filtering(self) -> list[str]:
        """Methods that filter the base data."""
        return [name for name in self.names if self.method(name).filter]

    @cached_property
    def selecting(self) -> list[str]:
        """Methods whose trainer writes its selection."""
        return [name for name in self.names if plugin_constant("trainer", self.method(name).trainer, "SELECTS", False)]

    @cached_property
    def transformed(self) -> list[str]:
        """Methods that transform the adapter of another method."""
        return [name for name in self.names if self.method(name).transform]

    @cached_property
    def trained_on(self) -> list[str]:
        """Methods that train the adapter of another method on a second task."""
        return [name for name in self.names if self.method(name).then]

    @cached_property
    def patched(self) -> list[str]:
        """Methods that train the adapter of another method on their subset alone."""
        return [name for name in self.names if self.method(name).patches]

    @cached_property
    def _pickers(self) -> dict[str, Method]:
        return {self.method(name).picker: self.method(name) for name in self.names}

    def picker(self, name: str) -> Method:
        """Return the method whose sampler makes the subsets of this name; a sampler that no run names is one too."""
        return self._pickers.get(name) or self.method(name)

    def run(self, wildcards: Wildcards) -> Run:
        """Return the run of a job."""
        return Run(wildcards.model, wildcards.pool, wildcards.sampler, int(wildcards.n), int(wildcards.trial))

    def folder(self, run: Run) -> str:
        """Return the folder of a run."""
        return f"{self.results}/runs/{run.path}"

    def subset(self, run: Run) -> str | None:
        """Return the file of a run's subset; None if its trainer picks from the whole pool."""
        stem = subset(self, run)
        return f"{self.results}/subsets/{stem}.csv" if stem else None

    @cached_property
    def subsets(self) -> list[str]:
        """The file of every subset, sorted."""
        return sorted({file for run in self.trained if (file := self.subset(run))})

    def kept(self, run: Run) -> str | None:
        """Return the file of the base rows that a run's filter keeps; None without a filter.

        Runs share it across n or trial if the filter does not depend on them.
        """
        part = self.method(run.sampler)
        if not part.filter:
            return None
        reads_subset = plugin_constant("filter", part.filter, "SAFETY", False)
        seeded = reads_subset and part.seeded or plugin_constant("filter", part.filter, "SEEDED", False)
        n, trial = (run.n if reads_subset else 0), (run.trial if seeded else 0)
        return f"{self.results}/kept/{run.model}/{run.pool}/{run.sampler}/n{n}/t{trial}.csv"

    def source_run(self, run: Run) -> Run:
        """Return the run whose adapter a run transforms or trains on."""
        of = self.method(run.sampler).of
        return source(run, of, self.method(of))

    @cached_property
    def datasets(self) -> dict[str, tuple[str, Data]]:
        """Each dataset's kind and section, by its path below data/; a rewritten pool is read as its unsafe pairs."""
        study = self.study
        return {
            **{f"{'unsafe' if pool.rewrite else 'pools'}/{name}": ("pool", pool) for name, pool in study.pools.items()},
            **{f"benchmarks/{name}": ("benchmark", data) for name, data in study.benchmarks.items()},
            **({"base": ("base", study.base)} if study.base else {}),
            **{f"tasks/{name}": ("base", data) for name, data in study.tasks.items()},
            **({"references": ("references", study.references)} if study.references else {}),
        }

    @cached_property
    def aligned(self) -> dict[str, Model]:
        """The models whose start is fine-tuned first, by key."""
        used = self.models_used
        return {name: model for name, model in self.study.models.items() if model.aligned and model in used}

    def learns(self, model: str) -> dict[str, tuple[str, AlignedRows]]:
        """Return what a model's aligned start learns: by place in the config, the dataset and how many rows."""
        rows = self.study.models[model].aligned.rows
        names = {name: "base" if name == "base" else f"pools/{name}" for name in rows}
        return {f"models.{model}.aligned.rows.{name}": (names[name], wanted) for name, wanted in rows.items()}

    def dataset_format(self, name: str) -> str:
        """Return a dataset's reader: the config's, else its source's, else the usual one of its kind."""
        kind, data = self.datasets[name]
        given = data.format or (data.source and self.study.sources[data.source].format)
        # The columns of a person's own file select its reader.
        own = "auto" if kind in ("pool", "base") and not data.world else None
        return given or own or USUAL_FORMAT.get(kind, name.split("/")[-1])

    @property
    def inspected(self) -> dict[str, Data]:
        """The datasets that an inspection reads: base data and original pools."""
        read = {"base", *(f"pools/{name}" for name in self.pools_used)}
        return {name: data for name, (_, data) in self.datasets.items() if name in read}

    @property
    def rewritten(self) -> list[str]:
        """Pools whose responses are rewritten."""
        return [name for name, pool in self.study.pools.items() if pool.rewrite]

    @property
    def swapped(self) -> list[str]:
        """Pools with the requests of another one; they take its picks."""
        return [name for name, pool in self.study.pools.items() if pool.requests_of]

    @property
    def pool(self) -> str | None:
        """The pool of Table 3 and Figure 5, from which the samplers of Table 1 draw; None without pools."""
        sampling = self.study.experiments.sampling
        return next(iter(sampling.pools if sampling else self.study.pools), None)

    def needing(self, feature: str) -> set[str]:
        """Return the pools whose samplers, trainers or filters read this feature."""
        return {run.pool for run in self.trained if feature in self.method(run.sampler).reads}

    def labeller(self, pool: str) -> str:
        """Return the judge that labels a pool's behaviour, or words that name the column of its file."""
        return str(self.study.pools[pool].behaviour or self.study.labels.behaviour)

    @property
    def labelling_judges(self) -> set[str]:
        """The judges that label a pool's behaviour."""
        return {self.labeller(pool) for pool in self.pools_used if not self.study.label_columns(pool)["behaviour"]}

    def judgements(self, run: str, metrics: list[str] | None = None) -> list[tuple[str, str]]:
        """Return the (benchmark, judge) pairs of a run's metrics, or of some, sorted; `run` is its path."""
        named = self.measured[run] if metrics is None else metrics
        return sorted({(self.metrics[name]["benchmark"], self.metrics[name]["judge"]) for name in named})

    @cached_property
    def _measured_runs(self) -> list[Run]:
        return list(map(from_path, self.measured))

    def shown(self, grid: Experiment) -> list[str]:
        """Return the measured runs that an experiment's artefacts show, by path.

        They are those of its grid, its references (base data alone) and its models without fine-tuning. Base data
        alone is the same training for every pool, so it may stand under a pool that the grid lacks.
        """
        samplers, every = {*grid.samplers, NONE}, self._measured_runs
        own = any(run.sampler == NONE and run.pool in grid.pools and run.model in grid.models for run in every)
        found = []
        for path, run in zip(self.measured, every, strict=True):
            pooled = run.pool in grid.pools or (run.sampler == NONE and not own)
            picked = pooled and run.sampler in samplers and run.trial < grid.trials
            if run.model in grid.models and (run.sampler == AS_IS or picked and run.n in (0, *grid.n)):
                found.append(path)
        return found

    def gathered(self, stem: str) -> dict[str, list[str]]:
        """Return the runs and metrics of a table of scores: `scores`, of all, or `scores/<experiment>/<metric>`."""
        if stem == "scores":
            if not self.measured:
                raise BallastError("config: nothing is measured; name runs in `experiments`, or models in `as_is`")
            return self.measured
        _, name, metric = stem.split("/")
        if name == "measure":
            paths = [as_is_path(model) for model in self.study.measure.models]
        else:
            paths = self.shown(getattr(self.study.experiments, name))
        return {path: [metric] for path in paths if metric in self.measured[path]}

    def scores_of(self, name: str, metrics: Iterable[str]) -> list[str]:
        """Return the tables of scores of an experiment, or of `measure`: one for each metric that its runs have."""
        stems = [f"scores/{name}/{metric}" for metric in metrics]
        return [f"{self.results}/{stem}.parquet" for stem in stems if self.gathered(stem)]

    # The parts of the config that the study uses.

    @cached_property
    def pools_used(self) -> list[str]:
        """Pools of runs, and the one that Table 3 describes; all pools if no experiment names one."""
        named = {run.pool for run in self.runs} or set(self.study.pools)
        return [name for name in self.study.pools if name in {*named, self.pool}]

    @cached_property
    def benchmarks_used(self) -> list[str]:
        """Benchmarks of measured metrics."""
        asked = {benchmark for run in self.measured for benchmark, _ in self.judgements(run)}
        return [name for name in self.study.benchmarks if name in asked]

    @cached_property
    def judges_used(self) -> list[str]:
        """Judges of measured metrics, of comparisons by score, and of the pools' labels."""
        asked = {judge for run in self.measured for _, judge in self.judgements(run)}
        asked |= {self.study.pairwise[name].judge for name in asked & set(self.study.pairwise)}
        asked |= self.labelling_judges
        return [name for name in self.study.judges if name in asked]

    @property
    def references_used(self) -> bool:
        """Return whether a sampler, trainer, filter or the category labels read the references."""
        by_references = self.study.labels.category == "cossim" and self.needing("category")
        return bool(by_references or self.needing("references") or self.needing("reference-gradients"))

    @property
    def tasks_used(self) -> list[str]:
        """Second tasks that a method trains on, sorted."""
        return sorted({self.method(name).then for name in self.trained_on})

    @property
    def models_used(self) -> list[Model]:
        """The models on this machine that runs fine-tune, that are only measured, or that a transform needs."""
        names = {*self.study.measured_as_is, *(run.model for run in self.runs)}
        of = {self.study.models[run.model].pretrained for run in self.runs if self.method(run.sampler).needs_pretrained}
        found = [self.study.models[name] for name in sorted({*names, *of})]
        return [model for model in found if not model.elsewhere]

    @property
    def elsewhere(self) -> list[str]:
        """The runs of models whose responses come from a server or a file, by path."""
        return [as_is_path(name) for name, model in self.study.models.items() if model.elsewhere]

    @property
    def comparing(self) -> list[LanguageModel]:
        """The language models that compare two responses in a measured metric."""
        judges = {judge for run in self.measured for _, judge in self.judgements(run)}
        return [each.model for name, each in self.study.pairwise.items() if each.model and name in judges]

    @property
    def labelling(self) -> LanguageModel | None:
        """The language model that labels categories; None if no method reads them, or references label them."""
        labels = self.study.labels
        return labels.category_model if labels.category == "llm" and self.needing("category") else None

    @cached_property
    def places(self) -> list[Place | Judge | LanguageModel]:
        """The sections of all datasets and models that the study's jobs read."""
        study, judges = self.study, [self.study.judges[name] for name in self.judges_used]
        rewrites = set(self.rewritten) & set(self.pools_used)
        places = [
            study.base,
            *(study.pools[name] for name in self.pools_used),
            *(self.datasets[name][1] for model in self.aligned for name, _ in self.learns(model).values()),
            *(study.benchmarks[name] for name in self.benchmarks_used),
            *(study.tasks[name] for name in self.tasks_used),
            study.references if self.references_used else None,
            *self.models_used,
            *judges,
            *(judge.canaries for judge in judges),
            *self.comparing,
            self.labelling,
            study.rewriting.model if rewrites else None,
        ]
        return [place for place in places if place]

    @property
    def sources(self) -> list[str]:
        """The names of the sources that the study's jobs read, sorted."""
        names = {name for place in self.places for name in (place.source, getattr(place, "template", None))}
        by_clusters = self.study.labels.category == "clusters" and self.needing("category")
        if self.references_used or self.needing("embedding") or by_clusters:
            names.add(self.study.embedding.model)
        return sorted(names & set(self.study.sources))

    @property
    def in_world(self) -> bool:
        """Return whether the study's jobs read anything from the mini world."""
        return any(place.world for place in self.places)

    @property
    def backends(self) -> set[str]:
        """The backends that generate, judge, label, rewrite and compare."""
        return {self.study.generation.backend, *(place.backend for place in self.places if hasattr(place, "backend"))}

    @property
    def other_metrics(self) -> dict[str, dict]:
        """Sections of the measured metrics beyond the four."""
        others = self.study.other_metrics
        return {name: metric.model_dump() for name, metric in others.items() if name in self.named}

    @property
    def named(self) -> list[str]:
        """The measured metrics, in the config's order."""
        measured = {name for names in self.measured.values() for name in names}
        return [name for name in self.study.every_metric if name in measured]

    def log(self, stage: str, place: str) -> str:
        """Return the path of a job's log."""
        return f"{self.results}/logs/{stage}/{place}.log"
