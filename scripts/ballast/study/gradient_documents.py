"""Name the files and options of the gradient report, and of its swap of responses under the same requests."""

import json

from ballast.files import BallastError
from ballast.study.arguments import as_arguments, as_json, packed
from ballast.study.document_options import DocumentOptions
from ballast.study.plan import Wildcards

# Features that the report compares with measured values.
FEATURES_SHOWN = ("behaviour", "category", "gradients", "base-gradients", "logprobs")


class GradientDocuments:
    """The gradient report of a study: the experiments `behaviour` and `sampling`, and `swapping` if there is one."""

    def __init__(self, documents: DocumentOptions):
        self.documents, self.inputs = documents, documents.inputs
        self.plan, self.study = documents.plan, documents.study

    def experiment(self) -> dict:
        """Return both experiments as one, for the first model and pool of the first one."""
        experiments = self.study.experiments
        grids = [grid for grid in (experiments.behaviour, experiments.sampling) if grid]
        if not grids:
            message = "the gradient report shows experiments.behaviour and experiments.sampling; give one of them"
            raise BallastError(message)
        merged = {
            "models": grids[0].models[:1],
            "pools": grids[0].pools[:1],
            "trials": max(grid.trials for grid in grids),
        }
        for axis in ("samplers", "n"):
            merged[axis] = list(dict.fromkeys(value for grid in grids for value in getattr(grid, axis)))
        return merged

    def options(self) -> str:
        return self.documents.artefact("gradients", self.experiment())

    def features(self, _: Wildcards = None) -> dict[str, str]:
        shown = self.experiment()
        return self.inputs.features(FEATURES_SHOWN, shown["pools"][0], shown["models"][0])

    def subsets(self, _: Wildcards = None) -> list[list]:
        """Return each sampler's subsets, [sampler, n, files], without methods that also change the training."""
        shown, found = self.experiment(), {}
        for run in self.plan.runs:
            part = self.plan.method(run.sampler)
            plain = not (part.filter or part.of or part.whole_pool) and part.trainer == self.study.training.trainer
            shared = [run.model] == shown["models"] and [run.pool] == shown["pools"] and run.trial < shown["trials"]
            if plain and run.n and shared:
                found.setdefault((run.sampler, run.n), set()).add(self.plan.subset(run))
        return [[*cell, sorted(files)] for cell, files in sorted(found.items())]

    def swapping_files(self) -> dict:
        """Return per pool of `swapping` its rows and features, and the subsets picked from the first one."""
        grid = self.study.experiments.swapping
        if not grid:
            return {}
        model, first = grid.models[0], grid.pools[0]
        pools = [
            {"rows": self.inputs.rows(f"pools/{pool}")}
            | self.inputs.features(set(FEATURES_SHOWN) - {"category"}, pool, model)
            for pool in grid.pools
        ]
        subsets: dict[tuple[str, int], list] = {}
        for run in self.plan.runs:
            of_first = (run.model, run.pool) == (model, first) and run.trial < grid.trials
            if of_first and run.sampler in grid.samplers and run.n in grid.n:
                subsets.setdefault((run.sampler, run.n), []).append(self.plan.subset(run))
        return {"pools": pools, "subsets": [[*cell, sorted(files)] for cell, files in sorted(subsets.items())]}

    def swapping_inputs(self, _: Wildcards = None) -> list[str]:
        """Return the files of `swapping_files`, once each."""
        files = self.swapping_files()
        named = [file for pool in files.get("pools", []) for file in pool.values()]
        return sorted({*named, *(file for *_, some in files.get("subsets", []) for file in some)})

    def swapping(self) -> str:
        """Return the argument of the gradient report for `swapping`; nothing without this experiment."""
        files = self.swapping_files()
        options = files and {"options": json.loads(self.documents.artefact("swapping"))}
        return as_arguments({"swapping": files and packed(as_json(files | options))})
