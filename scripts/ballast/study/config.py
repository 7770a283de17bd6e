"""Check a study's configuration against types. `config/README.md` and `config/schema.json` are generated from it.

A mistake in a config gives one line that names the key and the nearest valid word. The types and the
layers of files stand together, since the types say what null may remove in a layer.
"""

import math
import os
import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from ballast import plugins, samplers
from ballast.files import BallastError
from ballast.study import contracts
from ballast.study.claimed import DualSelectClaims
from ballast.study.fine_tuning import Aligned, GradientOptions, MethodSection, Training, aligned_training
from ballast.study.label_columns import BehaviourColumn, CategoryColumn
from ballast.study.labels import Labels
from ballast.study.methods import BY_MODEL, Method, check, resolve
from ballast.study.mistakes import explained
from ballast.study.places import Data, Name, NaturalInt, Section, Source, World
from ballast.study.sections import (
    Checks,
    Embedding,
    Experiment,
    Experiments,
    Generation,
    Judge,
    Measure,
    Metric,
    Metrics,
    Model,
    OtherMetric,
    Pairwise,
    Pool,
    Rewriting,
    Sampling,
    Targets,
)
from ballast.study.yaml_file import parse

# Keys that `compat` sets if the config leaves them out.
COMPAT = {
    "clean": {
        "training": {"dtype": "bfloat16"},
        "generation": {"backend": "vllm", "decoding": "greedy", "dtype": "bfloat16"},
    },
    # The authors' code: 8-bit base in half precision, 2,000 rows cut from the mixed file, best epoch, beam search.
    "fork": {
        "training": {"quantize": "int8", "dtype": "float16", "optim": "adamw_bnb_8bit", "validation_rows": 2000},
        "generation": {
            "backend": "transformers",
            "decoding": "beam4",
            "max_new_tokens": 128,
            "dtype": "float16",
            "quantize": "int8",
        },
    },
}

# Experiments whose methods may have one n, or none.
BEYOND = ("experiments.beyond", "experiments.checks", "experiments.base_size")


FIFTH = 0.2  # the default limit of harm, as a share of its scale


class Study(Section):
    """One config file."""

    study: Name = Field(description="Name; results go to results/<study>/.")
    suite: Name | None = Field(
        None,
        description="Benchmarks, judges and metrics: a file of config/suites/, by name, below the keys of the config.",
    )
    seed: NaturalInt = Field(0, description="Source of every sampling and training seed.")
    world: World = Field(default_factory=World, description="The mini world, for sources that name it.")
    compat: Literal[*COMPAT] | None = Field(
        None,
        description="A set of keys: `clean` (bfloat16, vLLM, greedy) or `fork`, the authors' code (8 bits, validation "
        "rows, beam search). Keys of the config override it.",
    )
    sources: dict[Name, Source] = Field(
        {}, description="Datasets, models and templates from outside, by name; see sources.yaml."
    )
    allow_unpinned: bool = Field(False, description="Also fetch sources of unknown revision, and record their digests.")
    checks: Checks | None = Field(
        None, description="Requirements on base data and pools; without it, the first unreadable or repeated row stops."
    )
    pools: dict[Name, Pool] = Field({}, description="Safety examples to choose from, by name.")
    taxonomy: str | None = Field(
        None,
        description="YAML file of the study's own categories, `name: definition` each, instead of the 14 of "
        "BeaverTails.",
    )
    base: Data | None = Field(None, description="Benign fine-tuning data; experiments need it.")
    tasks: dict[Name, Data] = Field({}, description="Other benign data, for a second fine-tuning (`then` of a method).")
    references: Data | None = Field(None, description="Pairs of one category each, for Cossim.")
    benchmarks: dict[Name, Data] = Field(
        description="Prompts to answer, by name; the default format is that of the source, else the name."
    )
    models: dict[Name, Model] = Field(description="Models to fine-tune, by name.")
    as_is: list[Name] = Field([], description="Models to measure without fine-tuning.")
    measure: Measure | None = Field(None, description="Models to compare before and after a fine-tuning: `measure.md`.")
    labels: Labels = Field(default_factory=Labels, description="Behaviour and category of the pool.")
    rewriting: Rewriting | None = Field(None, description="How pools with `rewrite: true` are made.")
    embedding: Embedding = Field(default_factory=Embedding, description="Sentence encoder.")
    sampling: Sampling = Field(default_factory=Sampling, description="Options of the samplers.")
    training: Training = Field(default_factory=Training, description="Fine-tuning.")
    gradients: GradientOptions = Field(default_factory=GradientOptions, description="Gradients of single rows.")
    methods: dict[Name, MethodSection] = Field(
        {}, description="Combinations of sampler, trainer, filter and transform, by any name."
    )
    generation: Generation = Field(default_factory=Generation, description="Responses to benchmarks.")
    judges: dict[Name, Judge] = Field(description="Judges by plug-in name.")
    metrics: Metrics = Field(description="The paper's four metrics: a judge and a benchmark each.")
    other_metrics: dict[Name, OtherMetric] = Field(
        {}, description="Metrics beyond these four, by name; an experiment measures those in its `metrics`."
    )
    pairwise: dict[Name, Pairwise] = Field({}, description="Judges that compare two runs, by name.")
    experiments: Experiments = Field(default_factory=Experiments, description="Grids of runs.")
    dualselect_claims: DualSelectClaims | None = Field(
        None, description="Metrics of the claims of DualSelect's abstract; without it, they are not decidable."
    )
    targets: Targets = Field(default_factory=Targets, description="Limits for the advice.")
    redact: bool = Field(True, description="Hide texts in Table 3 and explore.html.")

    @model_validator(mode="after")
    def _names_exist(self):
        if self.study == "worlds":
            raise ValueError("study: results/worlds/ holds the worlds that studies share; give the study another name")
        if grid := self.experiments.base_size:
            grid.samplers = [self._on_part(name, part) for part in grid.base_percent for name in grid.samplers]
        check(self.methods, self.training, self.sampling)
        for name, method in self.methods.items():
            if method.then:
                _known(f"methods.{name}.then", method.then, self.tasks)
        for name, pool in self.pools.items():
            if pool.behaviour:
                self._check_labeller(f"pools.{name}.behaviour", pool.behaviour)
            self._check_columns(name)
            if pool.requests_of:
                self._check_requests(f"pools.{name}.requests_of", name, pool.requests_of)
        for place, experiment in self.experiments:
            if experiment:
                if not self.base:
                    raise ValueError(f"base: experiments.{place} fine-tunes on it; name its file")
                self._check_experiment(f"experiments.{place}", experiment)
        if self.experiments.swapping:
            self._check_swapping(self.experiments.swapping.pools)
        for key in [key for key, used in (("gpus", self.training.gpus > 1), ("full", self.training.full)) if used]:
            self._check_plain(key)
        named: dict[str, str] = {}
        for name, model in self.models.items():
            if model.published and named.setdefault(model.published, name) != name:
                raise ValueError(f"models.{name}.published: models.{named[model.published]} is '{model.published}' too")
        for name, model in self.models.items():
            if model.aligned:
                self._check_aligned(name, model.aligned)
        for name in self.as_is:
            _known("as_is", name, self.models)
        if self.measure:
            for name in self.measure.models:
                _known("measure", name, self.models)
            for name in self.measure.metrics:
                _known("measure.metrics", name, self.every_metric)
            for name in self.measure.harness:
                _known("measure.harness", name, self.measure.models)
        for data in filter(
            None, (self.base, self.references, *self.pools.values(), *self.tasks.values(), *self.benchmarks.values())
        ):
            data.read_as(self.sources.get(data.source))
        for name, judge in self.judges.items():
            judge.judge = judge.judge or name
            _known(f"judges.{name}", judge.judge, plugins.names("judges"))
            contracts.check_options(f"judges.{name}", judge.judge, judge.options)
        for place, metric in self.metrics:
            _known(f"metrics.{place}.benchmark", metric.benchmark, self.benchmarks)
            _known(f"metrics.{place}.judge", metric.judge, self.judges)
        for name, pairwise in self.pairwise.items():
            if name in self.judges:
                raise ValueError(f"pairwise.{name}: this is one of `judges`; give it another name")
            if pairwise.judge:
                _known(f"pairwise.{name}.judge", pairwise.judge, self.judges)
        for name, metric in self.other_metrics.items():
            if name in Metrics.model_fields:
                raise ValueError(f"other_metrics.{name}: this is one of `metrics`; give it another name")
            _known(f"other_metrics.{name}.benchmark", metric.benchmark, self.benchmarks)
            _known(f"other_metrics.{name}.judge", metric.judge, [*self.judges, *self.pairwise])
        for name, metric in self.every_metric.items():
            about = self.judges[metric.judge].about if metric.judge in self.judges else None
            if about and about not in (tags := self.benchmarks[metric.benchmark].tags):
                said = f"'{about}' is no tag of {metric.benchmark} ({', '.join(tags) or 'none'}), which {name} reads"
                raise ValueError(f"judges.{metric.judge}.about: {said}")
        if self.pools:
            self._check_labeller("labels.behaviour", self.labels.behaviour)
        for name, data in self.benchmarks.items():
            source = self.sources.get(data.source)
            if not (data.format or source and source.format) and name not in plugins.names("readers"):
                known = plugins.nearest(name, plugins.names("readers"))
                raise ValueError(f"benchmarks.{name}: no format is called so; give `format`, such as prompts{known}")
        if self.pools and self.labels.category == "llm" and self.labels.category_model is None:
            raise ValueError("labels.category_model is needed where labels.category is llm")
        if self.rewriting is None and any(pool.rewrite for pool in self.pools.values()):
            raise ValueError("rewriting is needed where a pool says rewrite: true")
        self._read_declarations()
        if self.dualselect_claims:
            self.dualselect_claims.check(self.experiments.transfer, self._unit)
        return self

    def _check_requests(self, place: str, pool: str, of: str) -> None:
        _known(place, of, self.pools)
        if of == pool or self.pools[of].requests_of:
            raise ValueError(f"{place}: '{of}' must be another pool, without requests_of of its own")

    def _check_swapping(self, pools: list[str]) -> None:
        if len(pools) != 2 or self.pools[pools[1]].requests_of != pools[0]:
            raise ValueError("experiments.swapping.pools: give two pools, the second with requests_of: the first")

    def _unit(self, metric: str) -> str:
        found = self.every_metric[metric]
        return contracts.declared(self.plugin(found.judge))["unit"] if isinstance(found, Metric) else found.unit

    def _on_part(self, name: str, percent: int) -> str:
        """Return the method that trains on a share of the base data; add it to `methods` if it is not all of it."""
        if percent == 100 or name in self.methods and re.fullmatch(r".+-base\d+", name):
            return name
        whole = self.methods.get(name) or MethodSection(sampler=name)
        if whole.filter or whole.of:
            has = f"filter {whole.filter}" if whole.filter else f"'of' {whole.of}"
            raise ValueError(f"experiments.base_size.samplers: '{name}' has {has}; name a method without one")
        own = {"filter": "random", "options": whole.options | {"keep": percent / 100}}
        self.methods[f"{name}-base{percent}"] = whole.model_copy(update=own)
        return f"{name}-base{percent}"

    def _check_labeller(self, place: str, labeller: str | BehaviourColumn) -> None:
        if isinstance(labeller, str):
            _known(place, labeller, self.judges)
            contracts.check_labeller(place, self.plugin(labeller))

    def _check_columns(self, pool: str) -> None:
        """Raise ValueError if a pool's labels stand in a column, and its rows are no longer those of its file."""
        for name, column in self.label_columns(pool).items():
            if column and self.pools[pool].rewrite:
                said = f"the responses of '{pool}' are rewritten, so {column} does not label them; name a labeller"
                raise ValueError(f"labels.{name}: {said}")

    def label_columns(self, pool: str) -> dict[str, BehaviourColumn | CategoryColumn | None]:
        """Return the columns of a pool's file that label it, by `behaviour` and `category`; None for a labeller."""
        labellers = {"behaviour": self.pools[pool].behaviour or self.labels.behaviour, "category": self.labels.category}
        return {name: None if isinstance(one, str) else one for name, one in labellers.items()}

    def _check_plain(self, key: str) -> None:
        """Raise ValueError if a method is more than plain training, which alone knows this key of `training`."""
        for name in sorted({name for _, grid in self.experiments if grid for name in grid.samplers}):
            method = self.method(name)
            own = [f"trainer {method.trainer}"] if method.trainer != "sft" else []
            own += [f"filter {method.filter}"] if method.filter else []
            own += sorted(method.reads & set(BY_MODEL))
            own += [f"'of' {method.of}"] if method.of and key == "full" else []
            if own:
                only = "runs on one GPU; set 1" if key == "gpus" else "needs an adapter; set false"
                raise ValueError(f"training.{key}: '{name}' has {own[0]}, which {only}, or leave it out")

    def _read_declarations(self) -> None:
        """Check the judges of measured metrics, and fill in units, directions and limits that the config leaves out."""
        measured = {name for _, grid in self.experiments if grid for name in grid.metrics}
        measured |= set(self.measure.metrics if self.measure else ())
        for name, metric in self.metrics:
            if name in measured or not measured:
                contracts.check_metric(name, self.plugin(metric.judge))
        for metric in self.other_metrics.values():
            metric.fill(
                contracts.declared(self.plugin(metric.judge))["unit"] if metric.judge in self.judges else "score"
            )
        for name, pairwise in self.pairwise.items():
            if pairwise.direction is None and pairwise.judge:
                pairwise.direction = contracts.direction(f"pairwise.{name}", self.plugin(pairwise.judge))
        low, high = contracts.scale(self.plugin(self.metrics.harm.judge))
        targets = self.targets
        if math.isinf(high):  # no run is measured so
            return
        if "harm" not in targets.model_fields_set:
            targets.harm = low + FIFTH * (high - low)
        elif targets.harm is not None and not low <= targets.harm <= high:
            said = f"{low:g} to {high:g}, the scale of {self.metrics.harm.judge}"
            raise ValueError(f"targets.harm: {targets.harm:g} is not within {said}")

    def _check_aligned(self, name: str, aligned: Aligned) -> None:
        place = f"models.{name}.aligned"
        for dataset, rows in aligned.rows.items():
            _known(f"{place}.rows", dataset, {"base": None, **self.pools})
            if not any(rows.numbers.values()):
                raise ValueError(f"{place}.rows.{dataset}: give a number of t1, t2, t3, t4 or any rows")
            if dataset != "base" and self.pools[dataset].rewrite:
                raise ValueError(f"{place}.rows: the responses of '{dataset}' are rewritten; name another pool")
        if "base" in self.pools:
            raise ValueError(f"{place}.rows: 'base' is the base data; give pools.base another name")
        for key in aligned.training:
            _known(f"{place}.training", key, Training.model_fields)
        if aligned.training.get("full"):
            raise ValueError(f"{place}.training.full: a start is an adapter, merged into the model; leave it out")
        try:
            aligned_training(self.training, aligned)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{place}.training.{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
        if aligned.refuses and name not in self.as_is:
            raise ValueError(f"{place}.refuses: add '{name}' to as_is, so that the start is asked before any training")

    def _check_experiment(self, place: str, experiment: Experiment) -> None:
        for kind in ("models", "pools"):
            for name in getattr(experiment, kind):
                _known(f"{place}.{kind}", name, getattr(self, kind))
        for name in experiment.models:
            if self.models[name].elsewhere or self.models[name].adapter:
                raise ValueError(f"{place}.models: '{name}' is only measured; fine-tune a model on this machine")
        for name in experiment.metrics:
            _known(f"{place}.metrics", name, [*Metrics.model_fields, *self.other_metrics])
        for name in experiment.samplers:
            if name not in self.methods and name not in samplers.names():
                raise ValueError(f"{place}: no sampler is called '{name}'{samplers.nearest(name, self.methods)}")
            # The paper's tables and figures have n as an axis.
            if name in self.methods and place not in BEYOND and not self.method(name).adds_rows:
                elsewhere = " or ".join(BEYOND)
                raise ValueError(f"{place}: '{name}' adds no safety examples, so it has no n; name it in {elsewhere}")
            copies = [pool for pool in experiment.pools if self.pools[pool].requests_of]
            if copies and self.method(name).whole_pool:
                said = f"'{name}' picks from the whole pool, and pools.{copies[0]} takes the picks of another one"
                raise ValueError(f"{place}: {said}; leave it out")
            if self.method(name).needs_pretrained:
                for model in experiment.models:
                    _known(f"models.{model}.pretrained", self.models[model].pretrained, self.models)

    def method(self, name: str) -> Method:
        """Return the method that a run's `sampler` names."""
        return resolve(name, self.methods, self.training, self.sampling)

    @property
    def synthetic(self) -> bool:
        """Return whether the fine-tuned models come from the mini world; then every caption says so."""
        return any(model.world for model in self.models.values())

    @property
    def measured_as_is(self) -> list[str]:
        """The models to measure without fine-tuning."""
        return list(dict.fromkeys([*self.as_is, *(self.measure.models if self.measure else ())]))

    @property
    def own_categories(self) -> str | None:
        """The file of the study's own categories, or words for clusters; None for the 14."""
        return f"clusters:{self.labels.clusters}" if self.labels.category == "clusters" else self.taxonomy

    def judge_languages(self, judge: str) -> list[str] | str:
        """Return the languages that a judge of pools reads, or `any`: the config's, else its plug-in's."""
        return self.judges[judge].languages or contracts.languages(self.plugin(judge))

    def plugin(self, judge: str) -> str:
        """Return the plug-in of a judge by its key; a key of `pairwise` is its own."""
        return self.judges[judge].judge or judge if judge in self.judges else judge

    @property
    def every_metric(self) -> dict[str, Metric | OtherMetric]:
        """The four metrics and the others, by name."""
        return dict(self.metrics) | self.other_metrics

    @property
    def keys(self) -> list[str]:
        """Environment variables that hold the keys of the study's endpoints."""
        models = [self.labels.category_model, self.rewriting and self.rewriting.model]
        models += [pairwise.model for pairwise in self.pairwise.values()]
        models += [*self.models.values(), *self.judges.values()]
        return sorted({model.endpoint.key_env for model in models if model and model.endpoint})


def _known(place: str, name: str | None, known) -> None:
    if name is None:
        raise ValueError(f"{place}: a method of the study needs it")
    if name not in known:
        raise ValueError(f"{place}: '{name}' is not defined{plugins.nearest(name, list(known))}")


def load(raw: dict) -> Study:
    """Check a parsed config; raise BallastError with the first mistake in one line."""
    preset = COMPAT.get(str(raw.get("compat")), {})
    raw = _without_removed(_overlay(preset, raw))
    if set(raw.get("measure") or ()) == {"metrics"}:  # a suite's, in a study that compares no models
        raw = raw | {"measure": None}
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        # A misspelt key often explains a missing one, so report it first.
        errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise BallastError(explained(errors[0], Study)) from None


def given(files: list[str | Path], changes: dict) -> dict:
    """Return the config of `snakemake --configfile <files> --config <changes>`: each lies over those before it.

    Snakemake's own reading of the files does not say which keys stand twice.
    """
    # Snakemake gives absolute paths.
    raws, parents = [(Path(os.path.relpath(file)), parse(os.path.relpath(file))) for file in files], {}
    for file, raw in raws:
        if parent := _parent(raw, file):
            parents[parent.resolve()] = file, parent
    if len(parents) > 1:
        said = " and ".join(f"{file} extends {parent.name}" for file, parent in parents.values())
        raise BallastError(f"{said}: give one of these files, or let one extend the other")
    merged = {}
    for file, parent in parents.values():
        merged = _parent_of(file, parent, [file])
    for file, raw in [*raws, ("--config", changes)]:
        merged = _over(merged, raw, file)
    return merged


def read(path: str | Path) -> dict:
    """Read a config file as plain values; lay a file with `extends: other.yaml` over that file."""
    return _read(Path(path), [Path(path)])


def _read(path: Path, chain: list[Path]) -> dict:
    """Read the last file of a chain of files, each of which extends the next."""
    raw = parse(path)
    parent = _parent(raw, path)
    return _over(_parent_of(path, parent, chain) if parent else {}, raw, path)


def _parent_of(path: Path, parent: Path, chain: list[Path]) -> dict:
    if parent.resolve() in [file.resolve() for file in chain]:
        circle = " -> ".join(map(str, [*chain, parent]))
        raise BallastError(f"{path}: extends: {circle} is a circle; remove one 'extends'")
    if not parent.is_file():
        raise BallastError(f"{path}: extends: {parent}: no such file")
    return _read(parent, [*chain, parent])


def _parent(raw: dict, path: str | Path) -> Path | None:
    """Remove `extends` from a file's keys, and return the file that it names."""
    name = raw.pop("extends", None)
    if name is None or isinstance(name, str) and name.strip():
        return name and Path(path).parent / name
    raise BallastError(f"{path}: extends: give the name of one file, not {name!r:.60}")


def suites() -> dict[str, Path]:
    """Return the files of the suites by name: this checkout's; an installed Ballast takes those where it runs."""
    folders = (plugins.HOME.resolve().parents[1] / "config/suites", Path("config/suites"))
    return {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.yaml"))}


def suite(name: str) -> dict:
    """Return the keys of a suite; raise BallastError if none has this name."""
    known = suites()
    if name not in known:
        raise BallastError(f"suite: '{name}' is none of {', '.join(known)}{plugins.nearest(str(name), list(known))}")
    return parse(known[name])


def _over(below: dict, above: dict, path: str | Path) -> dict:
    """Lay a file's keys over others, and over its suite; an entry that is null there must remove one."""
    if above.get("suite"):
        below = _overlay(below, suite(above["suite"]))
    for section, name in _nulls(above):
        known = [*(below.get(section) or {})]
        if name not in known:
            raise BallastError(f"{path}: {section}.{name}: null removes nothing{plugins.nearest(str(name), known)}")
    return _overlay(below, above)


def _nulls(raw: dict) -> list[tuple[str, str]]:
    """Return the section and name of each named entry that is null."""
    sections = {key: raw[key] for key in _NAMED if isinstance(raw.get(key), dict)}
    return [(key, name) for key, entries in sections.items() for name, entry in entries.items() if entry is None]


def _overlay(below: dict, above: dict) -> dict:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _without_removed(raw: dict) -> dict:
    """Drop the judges, pools, models and other named entries that are null."""
    dropped = _nulls(raw)
    for section in {section for section, _ in dropped}:
        raw = raw | {section: {name: one for name, one in raw[section].items() if (section, name) not in dropped}}
    return raw


# Keys whose entries have names of the user's choice.
_NAMED = {name for name, field in Study.model_fields.items() if str(field.annotation).startswith("dict")}
