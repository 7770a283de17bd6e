"""Name the files that each job of a study reads, so that Snakemake sees all dependencies of a job.

A method takes the job's wildcards, or a name. It returns paths relative to the working folder.
The methods call each other across rules, so they are one class.
"""

import os
from functools import cached_property

from ballast.identity import constant
from ballast.study import sources
from ballast.study.methods import plugin_constant
from ballast.study.place_inputs import MODEL_FILES, PlaceInputs
from ballast.study.places import ADAPTER
from ballast.study.plan import Wildcards
from ballast.study.runs import AS_IS, from_path, opponent
from ballast.study.sections import Model


class JobInputs(PlaceInputs):
    """The files of each job of a planned study."""

    # Judges and labels.

    def judge_template(self, name: str) -> str | None:
        """Return a judge's prompt template: the config's, else Ballast's own; None if it takes none."""
        judge = self.study.judges[name]
        return judge.template or sources.own_template(constant(f"judges/{judge.judge}", "TEMPLATE", judge.judge))

    def judge(self, name: str) -> list[str]:
        """Return a judge's model, prompt template and canaries; none of them for a judge that is a rule."""
        judge = self.study.judges[name]
        files = self.model_files(judge) if judge.is_model else []
        canaries = [self.data_input(judge.canaries)] if judge.canaries else []
        template = self.judge_template(name)
        return files + canaries + ([self.template_input(template)] if template else [])

    def judged_rows(self, judge: str, benchmark: str) -> str | list:
        """Return the benchmark's rows if the judge reads one of their tags instead of the prompt."""
        return self.rows(f"benchmarks/{benchmark}") if self.study.judges[judge].about else []

    def behaviour(self, pool: str) -> list[str]:
        """Return what labels a pool's behaviour: a judge's files, or the pool's own file."""
        if self.study.label_columns(pool)["behaviour"]:
            return [self.data_input(self.study.pools[pool])]
        return self.judge(self.plan.labeller(pool))

    def label(self, pool: str, name: str) -> str:
        """Return the file of a pool's `behaviour` or `category` labels."""
        return f"{self.results}/labels/{pool}/{name}.parquet"

    def pool_labels(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the study's labels of the job's pool, by name."""
        pool = wildcards.pool
        return {name: self.label(pool, name) for name in ("behaviour", "category") if pool in self.plan.needing(name)}

    @property
    def category_template(self) -> str:
        """The category labeller's template: a file, or the name of one of Ballast's own."""
        own = "category-definitions" if self.study.taxonomy else "category-llm"
        named = self.study.labels.category_template or own
        return sources.own_template(named) or named

    def category(self, wildcards: Wildcards) -> dict[str, str | list[str]]:
        """Return what labels categories: a model and its template, references and embeddings, or the pool's file."""
        labels = self.study.labels
        if labels.category == "llm":
            return {"model": self.language_model(labels.category_model), "template": self.category_template}
        if self.study.label_columns(wildcards.pool)["category"]:
            return {"source": self.data_input(self.study.pools[wildcards.pool])}
        embedding = {"embedding": self.embedding(f"pools/{wildcards.pool}")}
        return embedding if labels.category == "clusters" else embedding | self._references

    @property
    def _references(self) -> dict[str, str]:
        return {"references": self.rows("references"), "reference_embedding": self.embedding("references")}

    def embedding(self, dataset: str) -> str:
        return f"{self.results}/embeddings/{dataset}.arrow"

    @property
    def encoder(self) -> list[str]:
        """The files of the sentence encoder; none for the one from a package."""
        name = self.study.embedding.model
        if name in self.study.sources:
            return [self.source_manifest(name)]
        return [] if name == "minilm" else sources.model_files(name)

    def agreement(self, _: Wildcards) -> dict[str, str]:
        """Return what the agreement report compares: the pool's labels, and references and a filled sheet if any."""
        pool = self.plan.pool
        files = {"pool": self.rows(f"pools/{pool}")}
        files |= {name: self.label(pool, name) for name in ("category", "behaviour")}
        if self.study.references:
            files |= {"embedding": self.embedding(f"pools/{pool}")} | self._references
        if self.study.labels.annotations:
            files["annotations"] = self.study.labels.annotations
        return files

    # Features.

    def features(self, needs, pool: str, model: str | None = None) -> dict[str, str]:
        """Return the files of a pool's features, by their option of `picks.features`."""
        gradients, logprobs = (f"{self.results}/features/{model}/{kind}" for kind in ("gradients", "logprobs"))
        paths = {
            "behaviour": {"behaviour": self.label(pool, "behaviour")},
            "category": {"category": self.label(pool, "category")},
            "embedding": {"embedding": self.embedding(f"pools/{pool}")},
            "references": {name.replace("_", "-"): path for name, path in self._references.items()},
            "texts": {"texts": self.rows(f"pools/{pool}")},
            "base-texts": {"base-texts": self.rows("base")},
            "gradients": {"gradients": f"{gradients}/pools/{pool}.arrow"},
            "base-gradients": {"base-gradients": f"{gradients}/base.arrow"},
            "reference-gradients": {"reference-gradients": f"{gradients}/references.arrow"},
            "logprobs": {"logprobs": f"{logprobs}/pools/{pool}.parquet"},
            "base-logprobs": {"base-logprobs": f"{logprobs}/base.parquet"},
        }
        return {name: path for need in needs for name, path in paths[need].items()}

    def model_feature(self, file: str) -> list[str] | None:
        """Return model, kind and dataset of a feature that a model makes; None for other features."""
        place, *model_kind_rows = os.path.splitext(os.path.relpath(file, self.results))[0].split("/", 3)
        return model_kind_rows if place == "features" else None

    def sampler_features(self, wildcards: Wildcards) -> dict[str, str]:
        needs = self.plan.picker(wildcards.sampler).needs("sampler")
        return self.features(needs, wildcards.pool, wildcards.get("model"))

    def plugin_features(self, kind: str, wildcards: Wildcards) -> dict[str, str]:
        """Return the features that the job's trainer or filter reads, by option."""
        return self.features(self.plan.method(wildcards.sampler).needs(kind), wildcards.pool, wildcards.model)

    @cached_property
    def training_features(self) -> list[str]:
        """The features that trainers read, sorted."""
        needed = {(run.model, run.pool, self.plan.method(run.sampler).needs("trainer")) for run in self.plan.trained}
        return sorted({path for model, pool, needs in needed for path in self.features(needs, pool, model).values()})

    # Training.

    def subset(self, wildcards: Wildcards) -> str | list:
        """Return the run's subset; none if its trainer picks from the whole pool."""
        return self.plan.subset(self.plan.run(wildcards)) or []

    def subset_rows(self, wildcards: Wildcards) -> str | list:
        """Return the rows of the run's subset; none if its trainer picks from the whole pool."""
        return picked_rows(subset) if (subset := self.subset(wildcards)) else []

    def whole_pool(self, wildcards: Wildcards) -> str | list:
        """Return the pool if the run's trainer picks from the whole of it; training reads a subset's rows otherwise."""
        return [] if self.subset(wildcards) else self.rows(f"pools/{wildcards.pool}")

    def swapped_subset(self, wildcards: Wildcards) -> str:
        """Return the subset of another pool whose requests a subset has."""
        folder = [wildcards.get("model"), self.study.pools[wildcards.pool].requests_of, wildcards.sampler]
        place = "/".join(filter(None, folder))
        return f"{self.results}/subsets/{place}/n{wildcards.n}/t{wildcards.trial}.csv"

    def kept(self, wildcards: Wildcards) -> str | list:
        """Return the file of base rows that the run's filter keeps; none without a filter."""
        return self.plan.kept(self.plan.run(wildcards)) or []

    @cached_property
    def every_kept(self) -> list[str]:
        return sorted({kept for run in self.plan.trained if (kept := self.plan.kept(run))})

    def filter_subset(self, wildcards: Wildcards) -> str | list:
        """Return the rows of the subset that the run's filter reads, if it reads one."""
        method = self.plan.method(wildcards.sampler)
        return self.subset_rows(wildcards) if plugin_constant("filter", method.filter, "SAFETY", False) else []

    def source_adapter(self, wildcards: Wildcards) -> str:
        """Return the folder of the adapter that the run transforms or trains on."""
        return self.plan.folder(self.plan.source_run(self.plan.run(wildcards)))

    def source_files(self, wildcards: Wildcards) -> list[str]:
        return [f"{self.source_adapter(wildcards)}/{file}" for file in ADAPTER]

    def patched_adapter(self, wildcards: Wildcards) -> str | None:
        """Return the folder of the adapter that the run's trainer trains further; None if it trains a new one."""
        return self.source_adapter(wildcards) if self.plan.method(wildcards.sampler).patches else None

    def patched_files(self, wildcards: Wildcards) -> list[str]:
        return self.source_files(wildcards) if self.patched_adapter(wildcards) else []

    def pretrained(self, wildcards: Wildcards) -> Model | None:
        """Return the model that the run's model was aligned from, if its transform needs it."""
        models = self.study.models
        needed = self.plan.method(wildcards.sampler).needs_pretrained
        return models[models[wildcards.model].pretrained] if needed else None

    def pretrained_files(self, wildcards: Wildcards) -> list[str]:
        return self.model_files(model) if (model := self.pretrained(wildcards)) else []

    def task(self, wildcards: Wildcards) -> str:
        """Return the rows of the second task that a run trains on."""
        return self.rows(f"tasks/{self.plan.method(wildcards.sampler).then}")

    # Generation and judging.

    def adapter(self, wildcards: Wildcards) -> list[str]:
        """Return the files that the run trained; none for a model without fine-tuning."""
        if from_path(wildcards.run).sampler == AS_IS:
            own = self.run_model(wildcards).adapter
            return [f"{own}/{file}" for file in ADAPTER] if own else []
        return [f"{self.results}/runs/{wildcards.run}/{file}" for file in self.run_files]

    @property
    def run_files(self) -> tuple[str, ...]:
        """The files in which a run keeps what it trained: an adapter, or with `training.full` a whole model."""
        return MODEL_FILES if self.study.training.full else ADAPTER

    def is_whole(self, wildcards: Wildcards) -> bool:
        """Return whether a run's folder holds the model that answers."""
        return self.study.training.full and from_path(wildcards.run).sampler != AS_IS

    def run_model(self, wildcards: Wildcards) -> Model:
        return self.study.models[from_path(wildcards.run).model]

    def responses_file(self, wildcards: Wildcards) -> list[str]:
        """Return the file of responses that somebody made elsewhere; none of an endpoint."""
        model = self.run_model(wildcards)
        return [model.responses] if model.responses else []

    def generating(self, wildcards: Wildcards) -> list[str]:
        """Return the files of a run's model and of its template."""
        return self.prompted(self.run_model(wildcards))

    def run_benchmarks(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the benchmarks that the run's metrics need, and their files."""
        names = sorted({benchmark for benchmark, _ in self.plan.judgements(wildcards.run)})
        return {name: self.rows(f"benchmarks/{name}") for name in names}

    def run_scores(self, run: str, metrics: list[str] | None = None) -> list[str]:
        """Return the score files of a run, in the order of its judgements: of all its metrics, or of some."""
        folder = f"{self.results}/runs/{run}/scores"
        return [f"{folder}/{benchmark}.{judge}.parquet" for benchmark, judge in self.plan.judgements(run, metrics)]

    def gathered_responses(self, wildcards: Wildcards) -> list[str]:
        """Return the responses of the runs whose scores the job gathers."""
        return [f"{self.results}/runs/{run}/responses.parquet" for run in self.plan.gathered(wildcards.gathered)]

    def gathered_scores(self, wildcards: Wildcards) -> list[str]:
        """Return the score files that the job gathers."""
        found = self.plan.gathered(wildcards.gathered)
        return [file for run, metrics in found.items() for file in self.run_scores(run, metrics)]

    def run_comparisons(self, run: str) -> list[str]:
        """Return the score files that compare a run with another one."""
        judged = zip(self.run_scores(run), self.plan.judgements(run), strict=True)
        return [file for file, (_, judge) in judged if judge in self.study.pairwise]

    def pairwise(self, wildcards: Wildcards) -> dict[str, str | list[str]]:
        """Return both runs' responses, or their scores, and the model that compares in words."""
        pairwise = self.study.pairwise[wildcards.pairwise]
        other = opponent(self.study, wildcards.run, pairwise.against, self.plan.measured)
        by_scores = pairwise.by == "scores"
        file = f"scores/{wildcards.benchmark}.{pairwise.judge}.parquet" if by_scores else "responses.parquet"
        files = {"ours": f"{self.results}/runs/{wildcards.run}/{file}", "theirs": f"{self.results}/runs/{other}/{file}"}
        if pairwise.by == "llm":
            files |= {"model": self.language_model(pairwise.model), "template": pairwise_template(pairwise)}
        return files

    # The barrier.

    @cached_property
    def needed_data(self) -> list[str]:
        """The rows that training, generation and judging read."""
        pools = sorted({run.pool for run in self.plan.runs})
        return [
            *([self.rows("base")] if self.study.base else []),
            *(self.rows(f"tasks/{task}") for task in self.plan.tasks_used),
            *self.benchmarks,
            *(self.rows(f"pools/{pool}") for pool in pools),
        ]

    def before_training(self) -> list[str]:
        """Return the files made by this workflow that rules behind the barrier read, sorted."""
        judges = [judge for name in self.plan.judges_used if (judge := self.study.judges[name]).is_model]
        places = (*self.plan.models_used, *judges, *self.plan.comparing)
        models = [
            file for place in places if place.world or self.aligned_key(place) for file in self.model_files(place)
        ]
        fetched = [self.source_manifest(name) for name in self.plan.sources]
        picked = [file for subset in self.plan.subsets for file in (subset, picked_rows(subset))]
        made = (*self.needed_data, *picked, *self.every_kept, *self.training_features)
        return sorted({*models, *fetched, *made})


def picked_rows(subset: str) -> str:
    """Return the file of a subset's rows, which the same job writes."""
    return subset.removesuffix(".csv") + ".parquet"


def pairwise_template(pairwise) -> str:
    """Return the template of a comparing language model: the config's, else Ballast's own."""
    return pairwise.template or sources.own_template("pairwise")
