"""Check a study's configuration against types. `config/README.md` and `config/schema.json` are generated from it.

A mistake in a config gives one line that names the key and the nearest valid word. The types and the
layers of files stand together, since the types say what null may remove in a layer.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from ballast import plugins
from ballast.files import BallastError
from ballast.study import consistency, contracts, secret
from ballast.study.claimed import DualSelectClaims
from ballast.study.experiments import Experiments, Measure, Targets
from ballast.study.fine_tuning import GradientOptions, MethodSection, Training
from ballast.study.label_columns import BehaviourColumn, CategoryColumn
from ballast.study.labels import Labels
from ballast.study.methods import Method, resolve
from ballast.study.mistakes import explained
from ballast.study.places import Data, Name, NaturalInt, Section, Source, World
from ballast.study.sections import (
    Checks,
    Embedding,
    Generation,
    Judge,
    Metric,
    Metrics,
    Model,
    OtherMetric,
    Pairwise,
    Pool,
    Rewriting,
    Sampling,
)
from ballast.study.yaml_file import checked, parse, typed

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


LONGEST_PATH = 250  # characters; no file system takes a longer name


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
    redact: bool = Field(True, description="Hide texts in Table 3, explore.html and eval_logs/.")

    @model_validator(mode="after")
    def _consistent(self):
        consistency.complete(self)
        return self

    def label_columns(self, pool: str) -> dict[str, BehaviourColumn | CategoryColumn | None]:
        """Return the columns of a pool's file that label it, by `behaviour` and `category`; None for a labeller."""
        labellers = {"behaviour": self.pools[pool].behaviour or self.labels.behaviour, "category": self.labels.category}
        return {name: None if isinstance(one, str) else one for name, one in labellers.items()}

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


def load(raw: dict) -> Study:
    """Check a parsed config; raise BallastError with the first mistake in one line."""
    secret.refuse(raw)
    preset = COMPAT.get(str(raw.get("compat")), {})
    raw = _without_removed(_overlay(preset, raw))
    measured = raw.get("measure")
    if isinstance(measured, dict) and set(measured) == {"metrics"}:  # a suite's, in a study that compares no models
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
    for file, raw in [*raws, ("--config", typed(checked(changes, "--config")))]:
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
    if name is None:
        return None
    if isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= LONGEST_PATH:
        return Path(path).parent / name
    raise BallastError(f"{path}: extends: give the name of one file, not {name!r:.60}")


def suites() -> dict[str, Path]:
    """Return the files of the suites by name: this checkout's; an installed Ballast takes those where it runs."""
    folders = (plugins.HOME.resolve().parents[1] / "config/suites", Path("config/suites"))
    return {path.stem: path for folder in reversed(folders) for path in sorted(folder.glob("*.yaml"))}


def suite(name: str) -> dict:
    """Return the keys of a suite; raise BallastError if none has this name."""
    known = suites()
    if not isinstance(name, str) or name not in known:
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
