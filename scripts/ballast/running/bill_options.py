"""Count what a study's bill prices: groups of equal runs, labels, models and how they run, datasets, cluster jobs."""

import os
from collections import Counter
from collections.abc import Callable

from ballast.study import sources
from ballast.study.document_options import DocumentOptions
from ballast.study.places import Place
from ballast.study.runs import AS_IS, from_path


class BillOptions:
    """The bill's counts of a planned study.

    `groups` returns stage -> (group, how many of its jobs make one cluster job): Snakemake knows them only once it has
    read all rules. `command`: how a person runs this study.
    """

    def __init__(self, documents: DocumentOptions, groups: Callable[[], dict[str, tuple[str, int]]], command: str):
        self.documents, self.inputs = documents, documents.inputs
        self.plan, self.study = documents.plan, documents.study
        self.groups, self.command = groups, command

    def bill(self) -> dict:
        """Return all that the bill counts, and the options that cost."""
        study, loaded = self.study, self.engines()
        folders = {"rewrite": "unsafe", "behaviour": "pools", "category": "pools"}
        labels = {name: sorted(f"{folders[name]}/{pool}" for pool in pools) for name, pools in self._labelled().items()}
        return {
            "study": study.study,
            "gpu": not study.synthetic,
            "runs": self.equal_runs(),
            "labels": {stage: names for stage, names in labels.items() if stage in loaded},
            "before_runs": self.before_runs(),
            "priced_as_plain": self.priced_as_plain(),
            "engines": loaded,
            "datasets": {name: self._dataset(name) for name in self.plan.datasets},
            "cpu_jobs": self.cpu_jobs(),
            "groups": self.groups(),
            "training": study.training.model_dump(),
            "gradients": study.gradients.model_dump(),
            "generation": study.generation.model_dump(),
            "fetched": sum(study.sources[name].gigabytes or 0 for name in self.plan.sources),
        }

    def cost(self) -> dict:
        """Return the bill without what differs between two ways to run the same study."""
        said = self.bill()
        datasets = {name: facts | {"command": "snakemake"} for name, facts in said["datasets"].items()}
        return said | {"datasets": datasets, "groups": {}}

    def engines(self) -> dict[str, dict]:
        """Return each model that a job loads, and how: by judge, by stage, by `train` or `generate` and model."""
        labels, rewriting, generation = self.study.labels, self.study.rewriting, self.study.generation
        found = {
            name: self._engine(
                judge,
                judge.backend,
                batch_size=judge.batch_size,
                words=bool(self.inputs.judge_template(name)),
                gpus=judge.tensor_parallel,
            )
            for name in self.plan.judges_used
            if (judge := self.study.judges[name]).is_model
        }
        if str(labels.behaviour) in found:
            found["behaviour"] = found[labels.behaviour]
        for stage, model, longest in (
            ("category", labels.category == "llm" and labels.category_model, 0),
            ("rewrite", rewriting and rewriting.model, rewriting and rewriting.max_new_tokens),
        ):
            if model and not model.endpoint:
                how = {"batch_size": model.batch_size, "longest": longest, "gpus": model.tensor_parallel}
                found[stage] = self._engine(model, model.backend, **how)
        for name, pairwise in self.study.pairwise.items():
            if pairwise.model and not pairwise.model.endpoint:
                model = pairwise.model
                how = {"batch_size": model.batch_size, "compares": True, "gpus": model.tensor_parallel}
                found[name] = self._engine(model, model.backend, **how)
        decoding = {"beams": 4 if generation.decoding == "beam4" else 1, "quantize": generation.quantize}
        decoding |= {"batch_size": generation.batch_size, "longest": generation.max_new_tokens}
        decoding |= {"gpus": generation.tensor_parallel}
        for name, model in self.study.models.items():
            if model.elsewhere:
                continue
            found[f"train {name}"] = self._engine(model, gpus=self.study.training.gpus)
            found[f"generate {name}"] = self._engine(model, generation.backend, **decoding)
        return found

    def _engine(self, place: Place, backend: str = "transformers", **how) -> dict:
        usual = {"batch_size": 1, "words": True, "beams": 1, "longest": 0, "quantize": None, "compares": False}
        usual |= {"gpus": 1}
        return usual | {"gigabytes": self._gigabytes(place), "backend": backend} | how

    def _gigabytes(self, place: Place) -> float | None:
        """Return the size of a model's weights: of the copy on this machine, else what its source says, else None."""
        source = self.study.sources.get(place.source)
        if place.world or (source and not source.local):
            return source and source.gigabytes
        folder = sources.local_path(place.source, source.local) if source else place.path
        return sum(os.path.getsize(file) for file in sources.local_files(folder).values()) / 1e9

    def _labelled(self) -> dict[str, set[str]]:
        """Return the pools of each stage that may ask a model."""
        plan = self.plan
        rewritten = {run.pool for run in plan.runs} & set(plan.rewritten)
        behaviour = plan.needing("behaviour") | ({plan.pool} - {None})
        return {"rewrite": rewritten, "behaviour": behaviour, "category": plan.needing("category")}

    def equal_runs(self) -> list[dict]:
        """Return the runs that cost the same, and how many there are; n is None where nothing is trained.

        `alone`: they train on n safety rows alone.
        """
        plan, found = self.plan, Counter()
        for path in sorted({*plan.measured, *(run.path for run in plan.trained)}):
            run = from_path(path)
            n = None if run.sampler in (AS_IS, *plan.transformed) else run.n
            wanted = self._wanted(path) if path in plan.measured else ()
            found[run.model, n, wanted, run.sampler in plan.patched] += 1
        return [
            {"model": model, "n": n, "wanted": wanted, "jobs": jobs} | ({"alone": True} if alone else {})
            for (model, n, wanted, alone), jobs in found.items()
        ]

    def _wanted(self, path: str) -> tuple[tuple[str, str], ...]:
        """Return a run's (benchmark, judge) pairs, and those whose scores its comparisons read, sorted."""
        asked, pairwise = self.plan.judgements(path), self.study.pairwise
        read = [(benchmark, pairwise[judge].judge) for benchmark, judge in asked if judge in pairwise]
        return tuple(sorted({*asked, *(pair for pair in read if pair[1])}))

    def before_runs(self) -> list[dict]:
        """Return the jobs on a model before any run: aligned starts, features of plug-ins, filters of base data."""
        plan, gradients = self.plan, self.study.gradients
        starts = {name: model.aligned for name, model in plan.aligned.items()}
        found = {("align", name, "base", each.number) for name, each in starts.items()}
        asked = {(run.model, run.pool, frozenset(plan.method(run.sampler).reads)) for run in plan.trained}
        files = {file for model, pool, needs in asked for file in self.inputs.features(needs, pool, model).values()}
        for model, kind, rows in filter(None, map(self.inputs.model_feature, files)):
            found.add((kind, model, rows, gradients.reference_rows if rows == "references" else None))
            if kind == "gradients":
                found.add(("warm_up", model, "base", gradients.warm_up_rows))
        made = [dict(zip(("rule", "model", "dataset", "limit"), each, strict=True)) for each in sorted(found, key=str)]
        filters = [os.path.relpath(file, f"{plan.results}/kept").split("/")[0] for file in self.inputs.every_kept]
        return made + [{"rule": "filter", "model": model, "dataset": "base", "limit": None} for model in filters]

    def priced_as_plain(self) -> list[str]:
        """Return the trainers and filters whose jobs the bill prices as plain training, sorted."""
        plan = self.plan
        trainers = {plan.method(run.sampler).trainer for run in plan.trained} - {"sft"}
        return sorted(trainers | {plan.method(name).filter for name in plan.filtering})

    def _world_models(self) -> set[str]:
        """Return the models of the mini world that the study reads, and those that they start from."""
        study, plan = self.study, self.plan
        judges = [study.judges[name] for name in plan.judges_used]
        places = [*plan.models_used, *judges, study.labels.category_model, *plan.comparing]
        places.append(study.rewriting and study.rewriting.model)
        names = {place.world for place in places if place and place.world}
        names |= {sources.WORLD_JUDGES.get(name) or name for name in names}
        return names | {name.replace("-aligned", "-pretrained") for name in names}

    def cpu_jobs(self) -> dict[str, int]:
        """Return the jobs of the default target that ask no model on a GPU, by rule."""
        study, plan, documents = self.study, self.plan, self.documents
        loaded, embedded, embedded_references = (
            self.engines(),
            plan.needing("embedding"),
            bool(plan.needing("references")),
        )
        if study.labels.category in ("cossim", "clusters") and plan.needing("category"):
            embedded = embedded | plan.needing("category")
            embedded_references = embedded_references or study.labels.category == "cossim"
        unloaded = {stage: len(pools) for stage, pools in self._labelled().items() if stage not in loaded}
        asked = [(run["jobs"], judge) for run in self.equal_runs() for _, judge in run["wanted"]]
        for jobs, judge in asked:
            if judge not in loaded:
                rule = "pairwise" if judge in study.pairwise else "judge"
                unloaded[rule] = unloaded.get(rule, 0) + jobs
        checks = set(sources.WORLD_CHECKS) & {data.world for _, data in plan.datasets.values()}
        swapped = sum(f"/{pool}/" in file for file in plan.subsets for pool in plan.swapped)
        world = {
            "world_data": 1,
            "world_checks": int(bool(checks)),
            "world_tokenizer": 1,
            "world_model": len(self._world_models()),
        }
        return {
            **(world if plan.in_world else {}),
            **unloaded,
            "fetch": len(plan.sources),
            "data": bool(self.study.base)
            + len(plan.benchmarks_used)
            + len(plan.tasks_used)
            + len(({run.pool for run in plan.runs} | {plan.pool}) - {None})
            + (embedded_references or bool(plan.needing("reference-gradients"))),
            "embed": len(embedded) + embedded_references,
            "sample": len(plan.subsets) - swapped,
            "swap": swapped,
            "transform": sum(run.sampler in plan.transformed for run in plan.runs),
            "settle": 1,
            "scores": len(documents.gathered),
            "table": len(documents.artefacts("tables")),
            "figure": len(documents.artefacts("figures")),
            "measured": int(bool(study.measure)),
            "headline": int(documents.available("headline")),
            "claims": 1,
            "comparison": len(documents.comparisons) // 2,
            "advice": int(documents.advises),
            "trouble": int(documents.available("trouble")),
            "spent": int(documents.available("spent")),
            "checks": int(bool(documents.checked)),
            "explore": 1,
            "about": 1,
            "cost": 1,
            "pages": 1,
        }

    def _dataset(self, name: str) -> dict:
        """Return where the number of a dataset's rows may be known from."""
        data = self.plan.datasets[name][1]
        source = self.study.sources.get(data.source)
        folder, leaf = os.path.split(name)
        local = sources.local_path(data.source, source.local) if source and source.local else None
        return {
            "rows": data.rows,
            "key": f"{'pools' if folder == 'unsafe' else folder}.{leaf}".strip("."),
            "made": self.inputs.rows(name),
            "path": data.path or local or "",
            "file": os.path.basename(self.inputs.data_file(data)) if source and not source.local else "",
            "format": self.plan.dataset_format(name),
            "columns": data.columns,
            "where": data.where,
            "prompts": data.prompts,
            "command": self.command,
        }
