"""Name the files of datasets and models, wherever a config says that they lie.

A method takes the job's wildcards, a name or a section of the config. It returns paths relative to the working folder.
"""

from ballast.study import sources
from ballast.study.places import Data, Place
from ballast.study.plan import Plan, Wildcards
from ballast.study.sections import LanguageModel, Model

MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# A judge has one fixed decoding, so it needs no generation config.
JUDGE_FILES = tuple(name for name in MODEL_FILES if name != "generation_config.json")


class PlaceInputs:
    """The files of each source, dataset, template and model of a planned study."""

    def __init__(self, plan: Plan):
        self.plan, self.study = plan, plan.study
        self.results, self.world = plan.results, plan.world

    # Sources and datasets.

    def source_folder(self, name: str) -> str:
        return f"{self.results}/sources/{name}"

    def source_manifest(self, name: str) -> str:
        """Return the file that stands for a source: it holds the digests of the source's files."""
        return f"{self.source_folder(name)}/source.json"

    def source_local(self, wildcards: Wildcards) -> str | list[str]:
        """Return the files of a source's copy on this machine, so that a changed copy is fetched again."""
        source = self.study.sources[wildcards.source]
        if not source.local:
            return []
        local = sources.local_path(wildcards.source, source.local)
        return list(map(str, sources.local_files(local).values())) if source.kind == "model" else local

    def data_file(self, data: Data) -> str:
        """Return the path of a dataset's file."""
        if data.source:
            return (
                f"{self.source_folder(data.source)}/{sources.file_name(data.source, self.study.sources[data.source])}"
            )
        return f"{self.world}/data/{data.world}" if data.world else sources.as_word(data.path)

    def data_input(self, data: Data) -> str:
        """Return the file that a job which reads a dataset depends on."""
        return self.source_manifest(data.source) if data.source else self.data_file(data)

    def dataset(self, name: str) -> str:
        """Return the input of a dataset's `data` job."""
        return self.data_input(self.plan.datasets[name][1])

    def without_leaks(self, wildcards: Wildcards) -> list[str]:
        """Return the benchmarks whose prompts are dropped from a dataset, if the study drops leaks."""
        drops = self.study.checks and self.study.checks.leaks == "drop"
        if self.plan.datasets[wildcards.dataset][0] not in ("pool", "base") or not drops:
            return []
        return self.benchmarks

    def start_rows(self, model: str) -> str:
        """Return the file of the rows that a model's aligned start learns."""
        return f"{self.results}/aligned/{model}/rows.parquet"

    @property
    def starts_rows(self) -> list[str]:
        """The rows that each aligned start learns."""
        return [self.start_rows(name) for name in self.plan.aligned]

    def learnt_starts(self, wildcards: Wildcards) -> list[str]:
        """Return the rows of aligned starts, which no pool, base data, second task or benchmark may hold."""
        return [] if self.plan.datasets[wildcards.dataset][0] == "references" else self.starts_rows

    def learns(self, wildcards: Wildcards) -> list[str]:
        """Return the files from which an aligned start's rows are drawn."""
        return [self.dataset(name) for name, _ in self.plan.learns(wildcards.model).values()]

    def refusing(self, wildcards: Wildcards) -> list[str]:
        """Return the proof that the job's model refuses enough, if its start is aligned first."""
        aligned = self.study.models[wildcards.model].aligned
        return [f"{self.results}/aligned/{wildcards.model}/refusals.json"] if aligned and aligned.refuses else []

    @property
    def benchmarks(self) -> list[str]:
        """The rows of every benchmark that the study measures."""
        return [self.rows(f"benchmarks/{name}") for name in self.plan.benchmarks_used]

    def rows(self, dataset: str) -> str:
        """Return the file of a dataset's rows."""
        return f"{self.results}/data/{dataset}.parquet"

    @property
    def inspected(self) -> list[str]:
        return [self.data_input(data) for data in self.plan.inspected.values()]

    def pool_source(self, pool: str) -> Data | None:
        """Return the section of a pool's file; None if the study made the rows."""
        return None if pool in self.plan.rewritten else self.study.pools[pool]

    def pool_counts(self, wildcards: Wildcards) -> str | None:
        """Return the counts of a pool's file; None if the study made the rows."""
        known = self.pool_source(wildcards.pool)
        return known and f"{self.results}/data/pools/{wildcards.pool}.counts.json"

    # Templates and models.

    def template_file(self, name: str) -> str:
        """Return the path of a prompt template: a source's, or the path that the config gives."""
        return f"{self.source_folder(name)}/template.json" if name in self.study.sources else sources.as_word(name)

    def template_input(self, name: str) -> str:
        return self.source_manifest(name) if name in self.study.sources else name

    def model_template(self, model: Model) -> str:
        """Return the Alpaca template of a model: the config's, else Ballast's own."""
        return model.template or sources.own_template("alpaca-shaped")

    def model_folder(self, place: Place) -> str:
        if name := self.aligned_key(place):
            return f"{self.results}/aligned/{name}"
        return self.start_folder(place)

    def aligned_key(self, place: Place) -> str | None:
        """Return the key of a model whose start is fine-tuned first; None for other models."""
        return next((name for name, model in self.plan.aligned.items() if model is place), None)

    def start_folder(self, place: Place) -> str:
        """Return the folder of a model, before a first fine-tuning if it has one."""
        if place.source:
            return self.source_folder(place.source)
        return f"{self.world}/models/{place.world}" if place.world else sources.as_word(place.path)

    def world_model(self, name: str | None) -> list[str]:
        """Return the files of a model of the mini world; none if the model is trained from scratch."""
        names = JUDGE_FILES if name in sources.WORLD_JUDGES else MODEL_FILES
        return [f"{self.world}/models/{name}/{file}" for file in names] if name else []

    def aligned_from(self, wildcards: Wildcards) -> list[str]:
        """Return the model of the mini world that an aligned one starts from; none for a pretrained one."""
        return self.world_model(f"{wildcards.family}-pretrained" if wildcards.stage == "aligned" else None)

    def model_files(self, place: Place) -> list[str]:
        """Return each file that defines a model, so that a different model under the same name is a different input."""
        if name := self.aligned_key(place):
            return [f"{self.results}/aligned/{name}/{file}" for file in MODEL_FILES]
        return self.start_files(place)

    def start_files(self, place: Place) -> list[str]:
        """Return each file that defines a model, before a first fine-tuning if it has one."""
        if place.source:
            return [self.source_manifest(place.source)]
        return self.world_model(place.world) if place.world else sources.model_files(place.path)

    def model(self, wildcards: Wildcards) -> list[str]:
        """Return the files of the job's model and of the template that prompts it."""
        return self.prompted(self.study.models[wildcards.model])

    def weights(self, wildcards: Wildcards) -> list[str]:
        """Return the files of the job's model alone."""
        return self.model_files(self.study.models[wildcards.model])

    def prompted(self, model: Model) -> list[str]:
        """Return the files of a model and of the template that prompts it."""
        template = [self.template_input(self.model_template(model))] if model.prompt == "alpaca" else []
        return self.model_files(model) + template

    def language_model(self, model: LanguageModel) -> list[str]:
        """Return the files of a model that answers in words; none behind an endpoint."""
        return [] if model.endpoint else self.model_files(model)
