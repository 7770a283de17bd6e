"""Name the files and options of the sheet of responses that people label, and of the report on their labels."""

from functools import cached_property

from ballast.names import QUESTIONS
from ballast.study import contracts, opinions, sources
from ballast.study.arguments import as_json, as_pairs
from ballast.study.plan import Plan, Wildcards

SECOND = ("judge", "unit", "scale", "rule")


class PeopleOptions:
    """The responses that people label: those of the experiment `sampling`; without it, of all runs."""

    def __init__(self, plan: Plan):
        self.plan, self.study = plan, plan.study

    @cached_property
    def measured(self) -> dict[str, list[str]]:
        """Return the runs whose responses people label, with their metrics."""
        grid = self.study.experiments.sampling
        return {path: self.plan.measured[path] for path in (self.plan.shown(grid) if grid else self.plan.measured)}

    @cached_property
    def metrics(self) -> list[str]:
        """Return the metrics that people's labels check and that these runs have."""
        named = {name for names in self.measured.values() for name in names}
        return [name for name in QUESTIONS if name in named]

    @cached_property
    def _second(self) -> list[dict]:
        """Return the second judges of these metrics."""
        named = {name for names in self.measured.values() for name in names}
        names = [name for name in self.plan.named if name in named]
        return list(opinions.of_metrics(self.study, self.metrics, names))

    def scores(self, _: Wildcards = None) -> list[str]:
        """Return the tables of scores of the metrics and of their second judges."""
        names = dict.fromkeys([*self.metrics, *(one["by"] for one in self._second)])
        own = self.plan.scores_of("sampling", names) if self.study.experiments.sampling else []
        return own or [f"{self.plan.results}/scores.parquet"]

    def responses(self, _: Wildcards = None) -> list[str]:
        """Return the responses of the runs that have one of the metrics."""
        runs = [path for path, names in self.measured.items() if set(names) & set(self.metrics)]
        return [f"{self.plan.results}/runs/{path}/responses.parquet" for path in runs]

    def _sections(self) -> dict[str, dict]:
        four, plugin = dict(self.study.metrics), self.study.plugin
        sections = {
            name: four[name].model_dump() | contracts.declared(plugin(four[name].judge)) for name in self.metrics
        }
        for one in self._second:
            sections[one["metric"]].setdefault("second", []).append({key: one[key] for key in SECOND})
        return sections

    def sheet(self, _: Wildcards = None) -> str:
        return as_json({"metrics": self._sections()})

    def report(self, _: Wildcards = None) -> str:
        said = {name: sources.stand_in(name, judge) for name, judge in self.study.judges.items()}
        about = {"study": self.study.study, "synthetic": self.study.synthetic}
        about["stand_ins"] = {name: text for name, text in said.items() if text}
        if self.study.measure and not self.study.experiments.sampling:
            about["before"] = self.study.measure.before
        return as_json(about | {"metrics": self._sections()})

    @property
    def compares_labels(self) -> bool:
        """Return whether `agreement` compares a pool's labels; people's labels of responses suffice without others."""
        labels = self.study.labels
        others = labels.annotations or (self.study.references and labels.category == "llm")
        return bool(self.plan.pool and (others or not labels.response_annotations))

    def filled(self, _: Wildcards = None) -> str:
        return as_pairs(self.study.labels.response_annotations)
