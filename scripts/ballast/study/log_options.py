"""Name the files and options of the logs that other programs read: one per run and benchmark."""

import hashlib
import os

from ballast.files import BallastError
from ballast.plugins import nearest
from ballast.study.arguments import as_json, as_pairs
from ballast.study.card_options import CardOptions
from ballast.study.document_options import DocumentOptions
from ballast.study.plan import Wildcards
from ballast.study.runs import from_path


class LogOptions:
    """The logs of each measured run of a planned study."""

    def __init__(self, documents: DocumentOptions, cards: CardOptions):
        self.documents, self.cards = documents, cards
        self.plan, self.study = documents.plan, documents.study

    @property
    def files(self) -> list[str]:
        """The log of inspect_ai of every run and benchmark; the other files are made beside it."""
        pairs = {(run, benchmark): None for run in self.plan.measured for benchmark, _ in self.plan.judgements(run)}
        return [f"{self.plan.results}/eval_logs/{run}/{name}/{name}.eval" for run, name in pairs]

    def check(self, wildcards: Wildcards) -> None:
        """Raise BallastError if the study does not measure this run, or not on this benchmark."""
        run, benchmark = wildcards.run, wildcards.benchmark
        if run not in self.plan.measured:
            known = nearest(run, list(self.plan.measured))
            raise BallastError(f"eval_logs/{run}: the study measures no such run{known}")
        asked = sorted({name for name, _ in self.plan.judgements(run)})
        if benchmark not in asked:
            raise BallastError(f"eval_logs/{run}/{benchmark}: the study asks this run {', '.join(asked)} alone")

    def metrics(self, wildcards: Wildcards) -> list[str]:
        """Return the run's metrics on the benchmark."""
        named = self.plan.measured[wildcards.run]
        return [name for name in named if self.plan.metrics[name]["benchmark"] == wildcards.benchmark]

    def scores(self, wildcards: Wildcards) -> dict[str, str]:
        """Return the file of scores of each metric."""
        folder = f"{self.plan.results}/runs/{wildcards.run}/scores/{wildcards.benchmark}"
        return {name: f"{folder}.{self.plan.metrics[name]['judge']}.parquet" for name in self.metrics(wildcards)}

    def pairs(self, wildcards: Wildcards) -> str:
        return as_pairs(self.scores(wildcards))

    def options(self, wildcards: Wildcards) -> str:
        """Return what a log states beyond its files: the run, its model, its metrics and their judges."""
        study, name = self.study, from_path(wildcards.run).model
        model, sections = study.models[name], self.documents.metrics
        return as_json(
            {
                "study": study.study,
                "synthetic": study.synthetic,
                "redact": study.redact,
                "run": wildcards.run,
                "benchmark": wildcards.benchmark,
                "model": model.label or name,
                "about": self._origin(model),
                "system": model.system,
                "metrics": {
                    metric: sections[metric] | {"about": self._judge(sections[metric]["judge"])}
                    for metric in self.metrics(wildcards)
                },
            }
        )

    def _judge(self, name: str) -> dict:
        """Return a judge's plug-in and origin, and the digest of its entry in the config with its pinned source."""
        study, judge = self.study, self.study.judges.get(name) or self.study.pairwise[name]
        place = getattr(judge, "model", judge)
        source = study.sources.get(getattr(place, "source", None))
        entry = {"judge": judge.model_dump(), "source": source and source.model_dump()}
        entry["world"] = study.world.model_dump() if getattr(place, "world", None) else None
        digest = hashlib.sha256(as_json(entry).encode()).hexdigest()
        known = {"plugin": judge.judge or name} if name in study.judges else {"by": judge.by, "against": judge.against}
        return known | {"sha256": digest} | self._origin(place)

    def _origin(self, place) -> dict:
        """Return the home, revision and licence of a model; of a server its address, of a rule nothing."""
        if getattr(place, "endpoint", None):
            return {"home": place.endpoint.url, "model": place.endpoint.model}
        if getattr(place, "responses", None):
            return {"home": os.path.basename(place.responses)}
        if not place or not (place.world or place.path or place.source):
            return {}
        described = self.cards.described("", place)
        return {key: described[key] for key in ("home", "revision", "licence")}
