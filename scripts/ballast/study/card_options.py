"""Write the options of cards: that of an exported subset, with the files beside it, and that of an adapter."""

import os

from ballast.files import BallastError
from ballast.study import sources
from ballast.study.arguments import as_arguments, as_json
from ballast.study.job_options import JobOptions
from ballast.study.places import UNKNOWN, Data
from ballast.study.plan import Wildcards
from ballast.study.runs import seed
from ballast.study.sections import Model

# The licence of the mini world's data and models.
MADE = "Apache-2.0, as Ballast"
EXPORTED = ("subset.jsonl", "ids.csv", "README.md", "dataset_info.json", "pool.png", "pool.svg")


class CardOptions:
    """The options of each exported subset and each adapter's card of a planned study."""

    def __init__(self, options: JobOptions):
        self.options, self.inputs = options, options.inputs
        self.plan, self.study = options.plan, options.study

    def exported(self, folder: str) -> dict[str, str]:
        """Return the files of an exported subset in its folder, by a name that rules accept."""
        return {name.replace(".", "_").lower(): f"{folder}/{name}" for name in EXPORTED}

    @property
    def exports(self) -> list[str]:
        """The exported files of every non-empty subset."""
        stems = [file.removesuffix(".csv") for file in self.plan.subsets if "/n0/" not in file]
        return [file for stem in stems for file in self.exported(stem).values()]

    def exported_from(self, wildcards: Wildcards) -> str:
        """Return the labels and the pool's own file that an export reads."""
        own = self.inputs.pool_source(wildcards.pool)
        files = {"source": own and self.inputs.data_file(own), "counts": self.inputs.pool_counts(wildcards)}
        return as_arguments(self.inputs.pool_labels(wildcards) | files)

    def export(self, wildcards: Wildcards) -> str:
        """Return the facts on a subset's card and picture that its files lack."""
        study, inputs = self.study, self.inputs
        data, picker = study.pools[wildcards.pool], self.plan.picker(wildcards.sampler)
        source = study.sources[data.source] if data.source else None
        home = f"{source.hub or source.github}, revision {source.revision}" if source else inputs.data_file(data)
        labels, notes = inputs.pool_labels(wildcards), []
        if "behaviour" in labels:
            judge = self.plan.labeller(wildcards.pool)
            stand_in = sources.stand_in(judge, study.judges[judge]) if judge in study.judges else None
            notes += [stand_in] if stand_in else []
        if "category" in labels and study.labels.category == "cossim":
            notes.append("Harm categories are those of the nearest reference set (cossim), not a language model's.")
        if "category" in labels and study.labels.category == "clusters":
            notes.append("Categories are k-means clusters of the pool's embeddings, without a meaning of their own.")
        if data.world:
            notes.append("The pool is synthetic, in a made language.")
        rule = f"sampler {picker.rule}, n = {wildcards.n}, trial {wildcards.trial}"
        if data.requests_of:
            rule += f"; picked from pool {data.requests_of}, with the responses that this pool has to these requests"
        about = [
            ("study", study.study),
            ("pool", f"{wildcards.pool}: {home}" + (", its responses rewritten" if data.rewrite else "")),
            ("licence of the pool", self._licence(data) or "not stated"),
            ("rule", rule),
            ("seed", str(seed(study.seed, "sampling", wildcards.trial))),
            ("options", self.options.sampler(wildcards)),
            ("behaviour by", self.plan.labeller(wildcards.pool) if "behaviour" in labels else "not labelled"),
            ("category by", str(study.labels.category) if "category" in labels else "not labelled"),
            ("embedded by", study.embedding.model),
        ]
        # At their defaults these say nothing to `ballast push`, and re-run no export.
        told = {} if study.redact else {"redact": False}
        told |= {"gated": True} if source and source.gated else {}
        model = wildcards.get("model", "")
        own = inputs.pool_source(wildcards.pool)
        return as_json(
            {
                "study": study.study,
                "pool": wildcards.pool,
                "sampler": wildcards.sampler,
                "plugin": picker.sampler,
                "among": picker.among,
                "name": "-".join([study.study, *model.split(), wildcards.sampler, wildcards.n, wildcards.trial]),
                "licence": dict(about)["licence of the pool"],
                "about": about,
                "notes": notes,
                "format": own and self.plan.dataset_format(f"pools/{wildcards.pool}"),
                "columns": own.columns if own else {},
                "where": own.where if own else {},
                **told,
            }
        )

    def card(self, wildcards: Wildcards) -> str:
        """Return the config's facts about one run, for its card."""
        study, run = self.study, self.plan.run(wildcards)
        if study.training.full:
            raise BallastError("training.full: a run holds a whole model, which needs no merge and has no card yet")
        model, then = study.models[run.model], self.plan.method(run.sampler).then
        patched = {"patched": True} if self.plan.method(run.sampler).patches else {}
        scores = dict(zip(self.plan.judgements(run.path), self.inputs.run_scores(run.path), strict=True))
        metrics = {name: self.plan.metrics[name] for name in self.plan.measured[run.path]}
        template = f"the Alpaca template {self.inputs.model_template(model)}"
        told = {"system": model.system, "arguments": model.chat_template}
        more = "".join(f", {name} {as_json(value)}" for name, value in told.items() if value)
        said = {
            "study": study.study,
            "synthetic": study.synthetic,
            "run": run.path,
            "method": run.sampler,
            "n": run.n,
            "trial": run.trial,
            "model": self.described(model.label or run.model, model),
            "data": [
                self.described("base data", study.base),
                self.described(run.pool, study.pools[run.pool]),
                *([self.described(then, study.tasks[then])] if then else []),
            ],
            "parts": self._parts(run.sampler),
            **patched,
            "prompt": template if model.prompt == "alpaca" else f"the model's own chat template{more}",
            "training": study.training.model_dump(exclude={"trainer"}),
            "metrics": [
                [name, metric["benchmark"], metric["judge"], scores[metric["benchmark"], metric["judge"]]]
                for name, metric in metrics.items()
            ],
        }
        return as_json(said)

    def described(self, name: str, place: Model | Data) -> dict:
        """Return a card's facts about a model or dataset; `hub`: whether its home is an id of the Hugging Face hub."""
        source = self.study.sources.get(place.source)
        if source:
            home = source.hub or sources.page(source.model_dump())
            said = {"home": home, "revision": source.revision, "licence": source.licence, "hub": bool(source.hub)}
        elif place.world:
            said = {"home": "the mini world", "revision": "-", "licence": MADE, "hub": False}
        else:
            licence = getattr(place, "licence", None) or UNKNOWN
            said = {"home": os.path.basename(place.path), "revision": "-", "licence": licence, "hub": False}
        if getattr(place, "aligned", None):  # the adapter fits the aligned model, which no hub has
            said |= {"home": f"{said['home']}, aligned first by this study", "hub": False}
        return {"name": name} | said

    def _licence(self, data: Data) -> str | None:
        """Return the licence that a dataset's place states; None if it states none."""
        source = self.study.sources.get(data.source)
        return source.licence if source else MADE if data.world else data.licence

    def _parts(self, name: str) -> dict:
        """Return a method's plug-ins and their options, after those of the method whose adapter it takes."""
        part = self.plan.method(name)
        before = {"of": part.of} | self._parts(part.of) if part.of else {}
        kinds = ("transform",) if part.of and not part.patches else ("sampler", "filter", "trainer")
        named = {kind: getattr(part, kind) for kind in kinds if getattr(part, kind)}
        own = {f"{kind}.{option}": value for kind in named for option, value in part.options(kind).items()}
        named |= {"sampler": part.rule} if "sampler" in named else {}
        return before | named | own | ({"then": part.then} if part.then else {})
