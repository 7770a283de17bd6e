"""Write the options of documents: tables, figures, cards, pages and reports.

Each gets only the part of the config that it shows, so that no other key makes it run again.
"""

import glob
import json
import os
from functools import cached_property

from ballast.files import BallastError
from ballast.identity import constant
from ballast.study import artefacts as declared
from ballast.study import contracts, opinions, sources
from ballast.study.arguments import as_json, packed
from ballast.study.experiments import Experiment
from ballast.study.job_options import JobOptions
from ballast.study.plan import Wildcards
from ballast.study.runs import Run, subset


def _note(judge: str) -> str | None:
    """Return the sentence that a judge's file declares for the notes of tables."""
    return constant(f"judges/{judge}", "NOTE", None)


class DocumentOptions:
    """The options of each document of a planned study."""

    def __init__(self, options: JobOptions):
        self.options, self.inputs = options, options.inputs
        self.plan, self.study = options.plan, options.study

    # Tables, figures and their texts.

    def available(self, artefact: str) -> bool:
        """Return whether the study has all that a table, a figure or another artefact shows."""
        if "benchmarks" in declared.artefact(artefact).reads and not self.tagged:
            return False
        return declared.available(self.study, artefact, self.plan.other_metrics)

    @property
    def tagged(self) -> list[str]:
        """The measured benchmarks that have tags."""
        return [name for name in self.plan.benchmarks_used if self.study.benchmarks[name].tags]

    def artefacts(self, kind: str) -> list[str]:
        """Return the study's tables, figures, claims or comparisons, by name."""
        return [name for name in declared.names(kind) if self.available(name)]

    def check(self) -> None:
        """Raise BallastError where an experiment has several values on an axis of which its tables show one."""
        kinds = [name for kind in ("tables", "figures", "comparison", "claims") for name in self.artefacts(kind)]
        texts = [name for name in ("headline", "trouble", "spent") if self.available(name)] + ["advice"] * self.advises
        crowded: dict[tuple[str, str], list[str]] = {}
        for name in [*kinds, *texts]:
            found = declared.artefact(name)
            for axis in found.one if found.metrics else ():
                if len(getattr(self._grid(name), axis)) > 1:
                    crowded.setdefault((found.experiment, axis), []).append(name)
        for (experiment, axis), names in crowded.items():
            given = getattr(getattr(self.study.experiments, experiment), axis)
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise BallastError(
                f"config: experiments.{experiment}.{axis}: {names[0]}{more} show one value, not "
                f"{', '.join(map(str, given))}; keep one, and give each other value a study of its own, as "
                f"docs/performance.md says"
            )

    def files(self, folder: str, kinds: tuple[str, ...]) -> list[str]:
        """Return the files of the study's tables or figures."""
        return [f"{self.plan.results}/{name}.{kind}" for name in self.artefacts(folder) for kind in kinds]

    def artefact_inputs(self, artefact: str) -> list[str]:
        """Return the files that a table or figure declares to read, in that order.

        Raises BallastError if the config leaves its experiment out.
        """
        pool = self.plan.pool
        files = {
            "scores": self._gathered(artefact),
            "labels": [self.inputs.label(pool, "behaviour")],
            "pool": [self.inputs.rows(f"pools/{pool}")],
            "comparisons": [file for run in self.plan.measured for file in self.inputs.run_comparisons(run)],
            "benchmarks": [self.inputs.rows(f"benchmarks/{name}") for name in self.tagged],
        }
        return [file for kind in declared.artefact(artefact).reads for file in files[kind]]

    def _gathered(self, artefact: str) -> list[str]:
        """Return the tables of scores that an artefact reads if it reads any."""
        found = declared.artefact(artefact)
        metrics = dict.fromkeys([*found.metrics, *(one["by"] for one in self._second(artefact))])
        own = self._grid(artefact) and self.plan.scores_of(found.experiment, metrics)
        return own or [f"{self.plan.results}/scores.parquet"]

    @property
    def gathered(self) -> set[str]:
        """The tables of scores that the study's documents read."""
        names = [*self.artefacts("tables"), *self.artefacts("figures"), *self.artefacts("comparison")]
        names += ["headline"] * self.available("headline") + ["advice"] * self.advises
        shown = [name for name in names if "scores" in declared.artefact(name).reads]
        compared = self.plan.scores_of("measure", self.study.measure.metrics) if self.study.measure else []
        files = {file for name in shown for file in self._gathered(name)}
        return {f"{self.plan.results}/scores.parquet", *files, *compared}

    def artefact(self, artefact: str, experiment: dict | None = None) -> str:
        """Return the part of the config that an artefact shows.

        Its runs are those of the experiment that it declares, or of `experiment`: models, pools, samplers, n, trials.
        Raises BallastError if the config leaves that experiment out.
        """
        study = self.study
        own = None if experiment else self._grid(artefact)
        everything = {
            "study": study.study,
            "synthetic": study.synthetic,
            "redact": study.redact,
            "judges": {name: metric.judge for name, metric in study.metrics},
            "benchmarks": {name: metric.benchmark for name, metric in study.metrics},
            "declared": {name: contracts.declared(study.plugin(metric.judge)) for name, metric in study.metrics},
            "labellers": {"behaviour": self.plan.labeller(self.plan.pool)} if self.plan.pool else {},
            "targets": study.targets.model_dump(),
            "model_labels": self._model_labels,
            "others": self.plan.other_metrics,
            "measured": {name: self.metrics[name] for name in self.plan.named if name in self.metrics},
            "stand_ins": self._stand_ins(study.judges),
            "published": {name: model.published for name, model in study.models.items() if model.published},
        }
        if second := self._second(artefact):
            everything["second"] = second
        if artefact == "claims-transfer" and (claims := study.dualselect_claims):
            sections = {name: self.metrics[name] for name in claims.metrics}
            # The order of judges counts, and JSON sorts the keys.
            judges = {"judges": list(claims.safety_avg), "metrics": sections}
            everything["dualselect"] = claims.model_dump() | judges
        if own or experiment:
            everything["experiment"] = experiment or own.model_dump()
        return as_json(declared.options_for(artefact, everything))

    def _second(self, artefact: str) -> list[dict]:
        """Return the second judges of the advice's metrics; none for another artefact."""
        if artefact != "advice":
            return []
        limits = {name for name, limit in self.study.targets.model_dump().items() if limit is not None}
        metrics = {"harm", *(name.removesuffix("_loss") for name in limits)}
        names = [name for name in self.plan.named if name in self._grid(artefact).metrics]
        return list(opinions.of_metrics(self.study, metrics, names))

    def _grid(self, artefact: str) -> Experiment | None:
        """Return the experiment that an artefact declares, None if it declares none."""
        name = declared.artefact(artefact).experiment
        found = getattr(self.study.experiments, name) if name else None
        if name and not found:
            raise BallastError(f"{artefact} shows experiments.{name}, which the config leaves out")
        return found

    @property
    def metrics(self) -> dict[str, dict]:
        """The four metrics with their judges' declarations, and the measured others."""
        study = self.study
        four = {
            name: metric.model_dump() | contracts.declared(study.plugin(metric.judge)) for name, metric in study.metrics
        }
        return four | self.plan.other_metrics

    @property
    def _model_labels(self) -> dict[str, str]:
        return {name: model.label or name for name, model in self.study.models.items()}

    def _stand_ins(self, judges) -> dict[str, str]:
        """Return sentences that name the stand-ins of judges and of comparing models, by name."""
        known = self.study.judges
        said = {name: sources.stand_in(name, known[name]) or _note(known[name].judge) for name in judges}
        found = {name: text for name, text in said.items() if text}
        said = "{} is a tiny stand-in that answers in words, trained in the mini world."
        compares = {name: each for name, each in self.study.pairwise.items() if each.model and each.model.world}
        return found | {name: said.format(name) for name in compares}

    def claims(self) -> str:
        """Return the options of each experiment of the study, by its name."""
        return as_json({name.split("-")[1]: json.loads(self.artefact(name)) for name in self.artefacts("claims")})

    @property
    def comparisons(self) -> list[str]:
        """The files that compare the paper's tables with the study's."""
        numbers = [name.split("-")[1] for name in self.artefacts("comparison")]
        return [f"{self.plan.results}/comparison/table{number}.{kind}" for number in numbers for kind in ("csv", "md")]

    @property
    def advises(self) -> bool:
        """Return whether the study has advice: the experiment `sampling` and at least one limit in `targets`."""
        limits = self.study.targets.model_dump().values()
        return self.available("advice") and any(limit is not None for limit in limits)

    def explore(self) -> str:
        """Return the part of the config that explore.html shows."""
        metrics = self.metrics
        judges = sorted({metric["judge"] for metric in metrics.values()} & set(self.study.judges))
        shown = {
            "study": self.study.study,
            "synthetic": self.study.synthetic,
            "redact": self.study.redact,
            "runs": list(self.plan.measured),
            "metrics": metrics,
            "model_labels": self._model_labels,
            "stand_ins": self._stand_ins(judges),
        }
        return packed(as_json(shown))

    def trouble_labels(self, _: Wildcards = None) -> dict[str, str]:
        """Return the labels of the pool: the study's, a filled sheet, and the mini world's own."""
        pool, data = self.plan.pool, self.study.pools[self.plan.pool]
        files = {"behaviour": self.inputs.label(pool, "behaviour")}
        if pool in self.plan.needing("category"):
            files["category"] = self.inputs.label(pool, "category")
        if data.world == "safety.json" and data.order != "random":
            files["truth"] = f"{self.plan.world}/data/safety_truth.csv"
        if self.study.labels.annotations:
            files |= {"pool": self.inputs.rows(f"pools/{pool}"), "annotations": self.study.labels.annotations}
        return files

    def trouble_runs(self) -> str:
        """Return each run's subset, by the run's path."""
        return packed(as_json({run.path: subset(self.plan, run) for run in self.plan.runs}))

    @property
    def measured_rows(self) -> dict[str, str]:
        """The benchmarks of the page of models before and after a fine-tuning, and their files."""
        names = {self.plan.metrics[name]["benchmark"] for name in self.study.measure.metrics}
        return {name: self.inputs.rows(f"benchmarks/{name}") for name in sorted(names)}

    def measure(self) -> str:
        """Return what the page of models before and after a fine-tuning shows."""
        study, metrics = self.study, self.metrics
        limits = study.targets.model_dump()
        return as_json(
            {
                "study": study.study,
                "synthetic": study.synthetic,
                "redact": study.redact,
                "before": study.measure.before,
                "after": study.measure.after,
                "runs": study.measure.runs,
                "metrics": {name: metrics[name] for name in study.measure.metrics},
                "model_labels": self._model_labels,
                "stand_ins": self._stand_ins(
                    {metrics[name]["judge"] for name in study.measure.metrics} & set(study.judges)
                ),
                "targets": {name: limits[name] for name in study.measure.metrics if limits.get(name) is not None},
                "pool": next(iter(study.pools), None),
            }
        )

    def advice_at_hand(self, _: Wildcards = None) -> list[str]:
        """Return the advice of the other studies that are here."""
        own = f"{self.plan.results}/advice.csv"
        return sorted(set(glob.glob(f"{os.path.dirname(self.plan.results)}/*/advice.csv")) - {own})

    # The publication's next checks.

    @property
    def checked(self) -> bool:
        """Return whether the study has checks: the experiment `checks` or `relabelling`, or a second opinion."""
        return bool(self._checked or self._opinions)

    @property
    def _checked(self) -> Experiment | None:
        return self.study.experiments.checks or self.study.experiments.relabelling

    @cached_property
    def _opinions(self) -> list[dict]:
        return opinions.compared(self.study, self.plan.named)

    @cached_property
    def _relabelled(self) -> dict[str, str]:
        """The first pool of `relabelling`, and pools of the same rows with another judge: pool -> judge."""
        if not self.study.experiments.relabelling:
            return {}
        labeller, pools = self.plan.labeller, self.study.experiments.relabelling.pools
        first, *others = pools
        rows = [self.study.pools[name].model_dump(exclude={"behaviour"}) for name in pools]
        same = [name for name, found in zip(others, rows[1:], strict=True) if found == rows[0]]
        return {name: labeller(name) for name in (first, *same) if name == first or labeller(name) != labeller(first)}

    @property
    def relabelled(self) -> dict[str, str]:
        """The labels of pools with the same rows, by pool; none without a second judge."""
        pools = self._relabelled if len(self._relabelled) > 1 else {}
        return {pool: self.inputs.label(pool, "behaviour") for pool in pools}

    @cached_property
    def relabelled_subsets(self) -> list[list]:
        """The subsets of these pools, [pool, sampler, n, trial, file], sorted."""
        picking = [run for run in self.plan.trained if run.pool in self.relabelled and run.n]
        found = [[run.pool, run.sampler, run.n, run.trial, self.plan.subset(run)] for run in picking]
        return sorted(row for row in found if row[-1])

    def checks(self) -> str:
        if not self.checked:
            raise BallastError(
                "config: nothing to check; give experiments.checks or experiments.relabelling, or measure one "
                "benchmark by two judges (docs/checks.md)"
            )
        shown = {
            "study": self.study.study,
            "synthetic": self.study.synthetic,
            "stand_ins": self._stand_ins(self.study.judges),
        }
        if self._opinions:
            shown["opinions"] = self._opinions
        if experiment := self._checked:
            shown |= {
                "model": experiment.models[0],
                "pool": experiment.pools[0],
                "n": sorted(experiment.n),
                "metrics": self.metrics,
                "labellers": self._relabelled,
                "subsets": self.relabelled_subsets,
                "then": {
                    name: [part.of, part.then] for name in self.plan.trained_on if (part := self.plan.method(name))
                },
            }
        return as_json(shown)

    # Costs of each method.

    @property
    def beyond_runs(self) -> list[Run]:
        """The runs of the experiment `beyond`."""
        grid = self.study.experiments.beyond
        return [
            run
            for run in self.plan.runs
            if run.model in grid.models
            and run.pool in grid.pools
            and run.sampler in grid.samplers
            and run.n in (0, *grid.n)
            and run.trial < grid.trials
        ]

    def spent_logs(self) -> str:
        """Return the logs of each run's jobs by stage, and of the jobs that all runs of a method share."""
        own, shared = [], {}
        for run in self.beyond_runs:
            logs, common = self._logs(run)
            own.append({"sampler": run.sampler, "n": run.n} | logs)
            shared.setdefault(run.sampler, set()).update(common)
        return packed(as_json({"runs": own, "shared": {name: sorted(logs) for name, logs in shared.items()}}))

    def _logs(self, run: Run) -> tuple[dict[str, str], set[str]]:
        plan, logs, shared, picking = self.plan, {}, set(), None
        part = plan.method(run.sampler)
        if part.of:
            logs["transform"] = plan.log(
                "train" if part.patches else "train_on" if part.then else "transform", run.path
            )
        while plan.method(run.sampler).of:
            picking = picking or (run if plan.method(run.sampler).patches else None)
            run = plan.source_run(run)
        logs["train"] = plan.log("train", run.path)
        if picked := plan.subset(picking or run):
            logs["sample"] = plan.log("sample", self._stem(picked, "subsets"))
        if kept := plan.kept(run):
            stem = self._stem(kept, "kept")
            log = plan.log("filter", stem)
            if stem.endswith("/n0/t0"):
                shared.add(log)
            else:
                logs["filter"] = log
        part = plan.method(run.sampler)
        needs = {need for kind in ("sampler", "filter", "trainer") if getattr(part, kind) for need in part.needs(kind)}
        for file in self.inputs.features(needs, run.pool, run.model).values():
            if said := self.inputs.model_feature(file):
                model, kind, rows = said
                shared.add(plan.log(kind, f"{model}/{rows}"))
                if kind == "gradients":
                    shared.add(plan.log("warm_up", model))
        return logs, shared

    def _stem(self, file: str, folder: str) -> str:
        return os.path.relpath(file, f"{self.plan.results}/{folder}").removesuffix(".csv")
