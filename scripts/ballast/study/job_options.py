"""Write the options of each job of a study: all that shape its output, and no others.

A method takes the job's wildcards, or a name. It returns text for the stage's command line.
"""

import json
import os

from ballast.study import fine_tuning, requirements, sources
from ballast.study.arguments import as_arguments, as_json, as_pairs, packed
from ballast.study.config import Checks
from ballast.study.job_inputs import JobInputs, pairwise_template
from ballast.study.places import Data
from ballast.study.plan import Wildcards
from ballast.study.runs import from_path, seed
from ballast.study.sections import LanguageModel, Model

PLAIN_TRAINER = "sft"
COLUMN = "column"


class JobOptions:
    """The options of each job of a planned study."""

    def __init__(self, inputs: JobInputs):
        self.inputs, self.plan, self.study = inputs, inputs.plan, inputs.study

    def seed(self, purpose: str, trial: int | str = 0) -> int:
        return seed(self.study.seed, purpose, trial)

    # Sources and datasets.

    def source(self, wildcards: Wildcards) -> str:
        return as_json(self.study.sources[wildcards.source].model_dump(exclude={"used_for", "gigabytes", "format"}))

    def dataset(self, wildcards: Wildcards) -> str:
        """Return how a dataset's file is read: columns, rows, their order, and the share that may be unreadable."""
        kind, data = self.plan.datasets[wildcards.dataset]
        said = {"rows": data.rows, "longest": data.longest, "prompts": data.prompts}
        if data.order == "random":
            said["order-seed"] = str(self.seed("rows"))
        given = {"columns": data.columns, "where": data.where, "tags": data.tags}
        said |= {name: json.dumps(value, sort_keys=True) for name, value in given.items() if value}
        if kind in ("pool", "base") and self.study.checks:
            said["unreadable"] = str(self.study.checks.unreadable)
        return as_arguments(said)

    def aligned_rows(self, wildcards: Wildcards) -> str:
        """Return the datasets that an aligned start learns from, how they are read, and the wanted numbers of rows."""
        datasets = []
        for place, (name, wanted) in self.plan.learns(wildcards.model).items():
            data = self.plan.datasets[name][1]
            read = {"path": self.inputs.data_file(data), "format": self.plan.dataset_format(name)}
            read |= {"columns": data.columns, "where": data.where}
            if self.study.checks:
                read["unreadable"] = self.study.checks.unreadable
            datasets.append(read | {"place": place, "wanted": wanted.numbers, "longest": wanted.longest})
        return as_json(datasets)

    def inspection(self) -> str:
        """Return the files to inspect, their readers, requirements and kinds."""
        inputs = self.inputs
        datasets = [
            {
                "name": name,
                "path": inputs.data_file(data),
                "format": self.plan.dataset_format(name),
                "columns": data.columns,
                "where": data.where,
                "rows": data.rows,
                "order_seed": self.seed("rows") if data.order == "random" else None,
                **({"learnt": learnt} if (learnt := inputs.starts_rows) else {}),
                "longest": data.longest,
                **({"labels": labels} if (labels := self._labels_of(name)) else {}),
                **({"reads": reads} if (reads := self._judge_reads(name)) else {}),
            }
            for name, data in self.plan.inspected.items()
        ]
        asked: dict[str, dict[str, int]] = {}
        for run in self.plan.trained:
            # A pool that takes another one's picks need not have rows of their behaviour.
            among = None if run.pool in self.plan.swapped else self.plan.method(run.sampler).among
            kind = among or "any"
            pool = asked.setdefault(run.pool, {})
            pool[kind] = max(run.n, pool.get(kind, 0))
        checks = (self.study.checks or Checks()).model_dump()
        about = {
            "study": self.study.study,
            "checks": checks,
            "labeller": self.study.plugin(str(self.study.labels.behaviour)),
        }
        return as_json(about | {"datasets": datasets, "asked": asked})

    def _labels_of(self, dataset: str) -> list[str]:
        """Return the columns of a pool's file that label it."""
        pool = dataset.removeprefix("pools/")
        known = self.study.label_columns(pool) if pool != dataset else {}
        return [one.column for one in known.values() if one]

    def _judge_reads(self, dataset: str) -> list[str] | None:
        """Return the languages to which the judge of a pool's behaviour is held; None if none labels it, or for any."""
        pool = dataset.removeprefix("pools/")
        if pool not in self.plan.needing("behaviour") or self.study.label_columns(pool)["behaviour"]:
            return None
        languages = self.study.judge_languages(self.plan.labeller(pool))
        return languages if self._reads(self.study.pools[pool], languages) else None

    # Models, judges and labels.

    def prompt(self, model: Model) -> dict:
        """Return how a model is prompted: by an Alpaca template, or by its own chat template."""
        file = self.inputs.template_file(self.inputs.model_template(model)) if model.prompt == "alpaca" else None
        said = {"prompt": model.prompt, "system": model.system, "template": file}
        return said | ({"chat_template": model.chat_template} if model.chat_template else {})

    def model(self, wildcards: Wildcards) -> str:
        """Return the folder of the job's model."""
        return self.inputs.model_folder(self.study.models[wildcards.model])

    def language_model(self, model: LanguageModel) -> str:
        """Return the options of a model that answers in words, without its place."""
        return as_json(self._language_model(model))

    def _language_model(self, model: LanguageModel) -> dict:
        asked = {"backend", "chat", "chat_template", "batch_size", "max_length", "dtype", "tensor_parallel"}
        common = model.model_dump(include=asked)
        if model.endpoint:
            return common | {"endpoint": model.endpoint.model_dump()}
        return common | {"model": self.inputs.model_folder(model)}

    def judge(self, name: str) -> str:
        judge, inputs = self.study.judges[name], self.inputs
        asked = {"backend", "batch_size", "max_length", "dtype", "max_unparsable", "tensor_parallel"}
        common = judge.model_dump(include=asked)
        common |= judge.options | ({"judge": judge.judge} if judge.judge != name else {})
        model = {"model": inputs.model_folder(judge)} if judge.is_model else {}
        model |= {"endpoint": judge.endpoint.model_dump()} if judge.endpoint else {}
        template = inputs.judge_template(name)
        return as_json(common | model | {"template": template and inputs.template_file(template)})

    def canaries(self, name: str, benchmark: str | None = None) -> str:
        """Return a judge's canaries, and the tag that it reads instead of a benchmark's prompts."""
        judge = self.study.judges[name]
        said = {"canaries": judge.canaries and self.inputs.data_file(judge.canaries)}
        if benchmark and judge.about:
            said |= {"about": judge.about, "rows": self.inputs.judged_rows(name, benchmark)}
        return as_arguments(said)

    def judge_code(self, name: str) -> tuple[str, str]:
        """Return the plug-ins that a job which judges runs: the judge and its backend."""
        judge = self.study.judges[name]
        return f"judges/{judge.judge}", f"backends/{judge.backend}"

    def behaviour(self, pool: str) -> str:
        """Return the options of the judge that labels a pool's behaviour, or how the pool's own file labels it."""
        return self._column(pool, "behaviour") or self.judge(self.plan.labeller(pool))

    def behaviour_files(self, pool: str) -> str:
        """Return the judge's canaries and languages; nothing where the pool's own file has the labels."""
        if self.study.label_columns(pool)["behaviour"]:
            return ""
        judge = self.plan.labeller(pool)
        reads = self._reads(self.study.pools[pool], self.study.judge_languages(judge))
        return " ".join(filter(None, (self.canaries(judge), reads)))

    def _reads(self, data: Data | None, languages: list[str] | str) -> str:
        """Return the languages to which a dataset is held; none for any, or for the made language of the mini world."""
        held = data and not data.world and languages != "any" and self.study.labels.other_languages == "stop"
        return as_arguments({"reads": json.dumps(languages)}) if held else ""

    def encoder_reads(self, wildcards: Wildcards) -> str:
        """Return the languages that the sentence encoder reads, to which a pool or the references are held."""
        datasets, name = self.plan.datasets, wildcards.dataset
        _, data = datasets.get(name) or datasets[name.replace("pools/", "unsafe/")]
        return self._reads(data, self.study.embedding.languages)

    def behaviour_code(self, pool: str) -> tuple[str, ...]:
        """Return the plug-ins that label a pool's behaviour."""
        return () if self.study.label_columns(pool)["behaviour"] else self.judge_code(self.plan.labeller(pool))

    def _column(self, pool: str, name: str) -> str | None:
        """Return how the pool's own file is read for its labels; None where a labeller makes them."""
        column, data = self.study.label_columns(pool)[name], self.study.pools[pool]
        if not column:
            return None
        read = {"path": self.inputs.data_file(data), "format": self.plan.dataset_format(f"pools/{pool}")}
        return as_json(read | {"columns": data.columns, "where": data.where} | column.model_dump())

    def labeller(self, pool: str, name: str) -> str:
        """Return the word for what labels a pool: a judge or a labeller, or `column`."""
        named = {"behaviour": self.plan.labeller(pool), "category": self.study.labels.category}
        return COLUMN if self.study.label_columns(pool)[name] else named[name]

    def category(self, wildcards: Wildcards) -> str:
        labels = self.study.labels
        if column := self._column(wildcards.pool, "category"):
            return column
        if labels.category == "clusters":
            return as_json({"count": labels.clusters, "seed": self.seed("clusters")})
        if labels.category != "llm":
            return "{}"
        own = {"template": self.inputs.category_template, "max_unparsable": labels.max_unparsable}
        return as_json(self._language_model(labels.category_model) | own)

    def category_files(self, wildcards: Wildcards) -> str:
        labels = self.study.labels
        if labels.category == "llm":
            return self._reads(self.study.pools[wildcards.pool], labels.category_languages)
        files = self.inputs.category(wildcards) if labels.category in ("cossim", "clusters") else {}
        return as_arguments({name.replace("_", "-"): path for name, path in files.items()})

    @property
    def category_code(self) -> list[str]:
        """The plug-ins that label categories."""
        model = self.study.labels.category_model if self.study.labels.category == "llm" else None
        return [f"backends/{model.backend}"] if model else []

    @property
    def encoder(self) -> str:
        """The sentence encoder: a folder, or the name of the one from a package."""
        name = self.study.embedding.model
        return self.inputs.source_folder(name) if name in self.study.sources else sources.as_word(name)

    def agreement_files(self, wildcards: Wildcards) -> str:
        files = self.inputs.agreement(wildcards)
        return as_arguments({name.replace("_", "-"): path for name, path in files.items()})

    # Features.

    def warm_up(self, wildcards: Wildcards) -> str:
        """Return the study's training options, for a short run that holds no row out."""
        epochs = self.study.gradients.warm_up_epochs
        training = self.study.training.model_dump(exclude={"full"})
        training |= {"validation_rows": 0, "num_train_epochs": epochs}
        return as_json(training | self.prompt(self.study.models[wildcards.model]))

    def forced(self, wildcards: Wildcards, *names: str) -> str:
        """Return how a model reads rows with their responses, and the named keys of `gradients`."""
        training = self.study.training.model_dump(include={"max_length", "dtype", "quantize", "gpus"})
        ours = self.study.gradients.model_dump(include={"batch_size", *names})
        return as_json(training | ours | self.prompt(self.study.models[wildcards.model]))

    def rows_limit(self, wildcards: Wildcards) -> str:
        """Return the number of references to draw; other datasets have no limit."""
        if wildcards.rows != "references":
            return ""
        return as_arguments({"limit": self.study.gradients.reference_rows, "seed": str(self.seed("rows"))})

    # Picking and training.

    def sampler(self, wildcards: Wildcards) -> str:
        return as_json(self.plan.picker(wildcards.sampler).options("sampler"))

    def among(self, wildcards: Wildcards) -> str:
        """Return the behaviour of the rows to pick from; nothing if the sampler picks from all rows."""
        return as_arguments({"among": self.plan.picker(wildcards.sampler).among})

    def sampler_features(self, wildcards: Wildcards) -> str:
        return as_arguments(self.inputs.sampler_features(wildcards))

    def plugin_features(self, kind: str, wildcards: Wildcards) -> str:
        return as_arguments(self.inputs.plugin_features(kind, wildcards))

    def training(self, wildcards: Wildcards) -> str:
        """Return a trainer's options: the study's, the model's prompt, the method's own, and n."""
        return as_json(self._training(wildcards))

    def _training(self, wildcards: Wildcards) -> dict:
        method = self.plan.method(wildcards.sampler)
        own = method.options("trainer") | {"trainer": method.trainer, "n": int(wildcards.n)}
        return self.study.training.model_dump() | self.prompt(self.study.models[wildcards.model]) | own

    def aligned_training(self, wildcards: Wildcards) -> str:
        """Return the plain trainer's options for an aligned start."""
        model = self.study.models[wildcards.model]
        given = fine_tuning.aligned_training(self.study.training, model.aligned).model_dump()
        return as_json(given | self.prompt(model) | {"trainer": PLAIN_TRAINER})

    def second_training(self, wildcards: Wildcards) -> str:
        """Return the plain trainer's options for a second task."""
        prompt = self.prompt(self.study.models[wildcards.model])
        return as_json(self.study.training.model_dump() | prompt | {"trainer": PLAIN_TRAINER})

    def filter(self, wildcards: Wildcards) -> str:
        return as_json(self._training(wildcards) | self.plan.method(wildcards.sampler).options("filter"))

    def transform(self, wildcards: Wildcards) -> str:
        return as_json(self.plan.method(wildcards.sampler).options("transform"))

    def pretrained(self, wildcards: Wildcards) -> str:
        model = self.inputs.pretrained(wildcards)
        return as_arguments({"pretrained": model and self.inputs.model_folder(model)})

    # Generation and comparison.

    def gathered(self, wildcards: Wildcards) -> str:
        """Return the runs whose scores are gathered, with their metrics."""
        runs = self.plan.gathered(wildcards.gathered)
        named = {name for names in runs.values() for name in names}
        return packed(as_json({"runs": runs, "metrics": {name: self.plan.metrics[name] for name in sorted(named)}}))

    def generation(self, wildcards: Wildcards) -> str:
        return as_json(self.study.generation.model_dump() | self.prompt(self.inputs.run_model(wildcards)))

    def responding(self, wildcards: Wildcards) -> str:
        """Return where the responses of a model elsewhere come from: a file, or an endpoint."""
        model = self.inputs.run_model(wildcards)
        if model.responses:
            return as_arguments({"file": model.responses})
        asked = {"endpoint": as_json(model.endpoint), "max-new-tokens": str(self.study.generation.max_new_tokens)}
        return as_arguments(asked | {"store": f"{self.plan.results}/store"})

    def generating_model(self, wildcards: Wildcards) -> str:
        if self.inputs.is_whole(wildcards):
            return f"{self.plan.results}/runs/{wildcards.run}"
        return self.inputs.model_folder(self.inputs.run_model(wildcards))

    def adapter(self, wildcards: Wildcards) -> str:
        """Return the adapter's folder, or which of the model's files a run trained."""
        if self.inputs.is_whole(wildcards):
            return as_arguments({"trained": f"{self.generating_model(wildcards)}/model.safetensors"})
        files = self.inputs.adapter(wildcards)
        return as_arguments({"adapter": files and os.path.dirname(files[0])})

    def run_benchmarks(self, wildcards: Wildcards) -> str:
        return as_pairs(self.inputs.run_benchmarks(wildcards))

    def pairwise(self, name: str) -> str:
        pairwise = self.study.pairwise[name]
        if pairwise.by == "scores":
            return as_json({"by": "scores", "direction": pairwise.direction})
        own = {"by": "llm", "template": pairwise_template(pairwise), "max_unparsable": pairwise.max_unparsable}
        return as_json(self._language_model(pairwise.model) | own)

    def pairwise_code(self, name: str) -> list[str]:
        """Return the plug-ins that compare two responses."""
        model = self.study.pairwise[name].model
        return [f"backends/{model.backend}"] if model else []

    # This machine.

    def doctor(self, engines: dict) -> str:
        """Return what the doctor examines; `engines`: the models that jobs load, and how (`BillOptions.engines`)."""
        study = self.study
        return as_json(
            {
                "sources": {name: study.sources[name].model_dump() for name in self.plan.sources},
                "allow_unpinned": study.allow_unpinned,
                "backends": sorted(self.plan.backends),
                "bitsandbytes": any("bitsandbytes" in needed for needed in requirements.packages(self.plan).values()),
                "keys": study.keys,
                "results": self.plan.results,
                "runs": len(self.plan.measured),
                "kept": self._kept(engines),
                "models": self._here(),
                "engines": {name: engine for name, engine in engines.items() if self._is_used(*name.split(" "))},
                "training": study.training.model_dump(),
                "generation": study.generation.model_dump(),
            }
        )

    def _kept(self, engines: dict) -> float:
        """Return the gigabytes of the models that runs keep, which is all of them with `training.full`."""
        runs = self.plan.trained if self.study.training.full else []
        return sum(engines[f"train {run.model}"]["gigabytes"] or 0 for run in runs)

    def _is_used(self, stage: str, model: str = "") -> bool:
        """Return whether a job loads a model so: to train it, to generate with it, or as a judge."""
        trained, measured = self.plan.trained, map(from_path, self.plan.measured)
        runs = {"train": trained, "generate": measured}.get(stage)
        return runs is None or model in {run.model for run in runs}

    def _here(self) -> dict[str, dict]:
        """Return how each model is used, by its place in the config, for those that may be on this machine already."""
        study, words = self.study, {"labels.category_model": self.study.labels.category_model}
        words |= {"rewriting.model": study.rewriting and study.rewriting.model}
        words |= {f"pairwise.{name}.model": pairwise.model for name, pairwise in study.pairwise.items()}
        trained = {run.model for run in self.plan.trained}
        asked = {
            f"models.{name}": (model, self.prompt(model)) for name, model in study.models.items() if not model.elsewhere
        }
        for name in trained:
            asked[f"models.{name}"][1]["lora"] = study.training.lora.model_dump()
        asked |= {place: (model, self._language_model(model)) for place, model in words.items() if model}
        return {
            place: {"folder": self._folder_now(model)} | options
            for place, (model, options) in asked.items()
            if "endpoint" not in options
        }

    def _folder_now(self, model: Model | LanguageModel) -> str:
        """Return a model's folder, before its source is fetched that of the copy on this machine."""
        local = model.source and self.study.sources[model.source].local
        return sources.local_path(model.source, local) if local else self.inputs.model_folder(model)
