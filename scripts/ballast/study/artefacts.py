"""Declare tables, figures and other artefacts: their contents and their options.

A table is a file in ballast/tables/, a figure one in ballast/figures/; constants at its top declare its contents
(ballast/tables/__init__.py lists them). This file declares the other artefacts. An artefact gets only options that it
uses, since an unused option must not make it run again.
"""

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Protocol

from ballast import plugins
from ballast.files import BallastError
from ballast.identity import constant, defined, file_of

AXES = ("models", "pools", "samplers", "n")
KEYS = ("redact", "published", "model_labels", "others", "measured")
READS = ("scores", "labels", "pool", "comparisons", "benchmarks")
# The function that a file of each kind must have.
FUNCTIONS = {"tables": "table", "figures": "draw"}


@dataclass(frozen=True)
class Artefact:
    """The declaration of a table, a figure or another artefact."""

    experiment: str | None = None  # the experiment of the config that gives its runs
    metrics: tuple[str, ...] = ()
    one: tuple[str, ...] = ()  # axes of the experiment with a single value in it
    keys: tuple[str, ...] = ()  # its further options
    targets: tuple[str, ...] = ()  # limits of the config's `targets` that it reads
    reads: tuple[str, ...] = ("scores",)  # its input files


OTHERS = {
    "spent": Artefact("beyond", ("harm",), one=("models", "pools")),
    "headline": Artefact("sampling", ("harm", "asr", "over_refusal"), one=("models", "pools")),
    "comparison-1": Artefact("sampling", ("harm",), one=("models", "pools"), keys=("published",)),
    "comparison-2": Artefact("sampling", ("asr",), one=("models", "pools"), keys=("published",)),
    "comparison-4": Artefact("transfer", ("harm",), one=("pools",), keys=("published",)),
    # The claims, by experiment.
    "claims-sampling": Artefact("sampling", ("harm", "asr", "over_refusal"), one=("models", "pools")),
    "claims-behaviour": Artefact("behaviour", ("harm", "helpfulness"), one=("models", "pools", "n")),
    "claims-transfer": Artefact("transfer", ("harm",), one=("pools",)),
    "claims-rewriting": Artefact("rewriting", ("asr",), one=("models",)),
    "claims-forgetting": Artefact("forgetting", ("harm",), one=("pools", "samplers")),
    "advice": Artefact(
        "sampling",
        ("harm", "asr", "over_refusal", "helpfulness"),
        one=("models", "pools"),
        targets=("harm", "asr", "over_refusal", "helpfulness_loss"),
    ),
    # It shows two experiments as one: its rule gives the runs.
    "gradients": Artefact(None, ("harm", "over_refusal"), one=("models", "pools")),
    "swapping": Artefact("swapping", ("harm", "over_refusal"), one=("models",)),
    "trouble": Artefact("sampling", ("harm", "asr", "over_refusal"), one=("models", "pools")),
}


class Planned(Protocol):
    """The parts of a checked study (study.config.Study) that decide which artefacts it has.

    The class itself is not imported: jobs import this module, and would run again after every edit of the config's
    code.
    """

    experiments: Iterable[tuple[str, object]]
    metrics: Iterable[tuple[str, object]]
    targets: Iterable[tuple[str, object]]
    pairwise: Collection[str]


@dataclass(frozen=True)
class Experiment:
    """The runs of one artefact: every combination of the axes, `trials` times."""

    models: tuple[str, ...]
    pools: tuple[str, ...]
    samplers: tuple[str, ...]
    n: tuple[int, ...]
    trials: int


@dataclass(frozen=True)
class Options:
    """The options of one artefact, checked."""

    study: str
    synthetic: bool = False
    redact: bool = False
    judges: dict[str, str] = field(default_factory=dict)  # metric -> judge
    benchmarks: dict[str, str] = field(default_factory=dict)  # metric -> benchmark, if not the paper's
    declared: dict[str, dict] = field(default_factory=dict)  # metric -> what its judge declares: unit, scale, rule
    model_labels: dict[str, str] = field(default_factory=dict)  # model -> its name in tables and figures
    labellers: dict[str, str] = field(default_factory=dict)  # label -> judge
    stand_ins: dict[str, str] = field(default_factory=dict)  # judge -> a sentence that names its stand-in
    published: dict[str, str] = field(default_factory=dict)  # model -> its name in the paper's tables
    targets: dict[str, float] = field(default_factory=dict)  # limit -> value, set limits only
    others: dict[str, dict] = field(default_factory=dict)  # metric beyond the four -> its section of the config
    measured: dict[str, dict] = field(default_factory=dict)  # measured metric -> its section of the config
    second: list[dict] = field(default_factory=list)  # second judges: metric, by, judge, what it declares
    dualselect: dict | None = None  # the config's `dualselect_claims`, with the sections of its metrics
    experiment: Experiment | None = None

    def model_label(self, model: str) -> str:
        return self.model_labels.get(model, model)


def names(kind: str) -> list[str]:
    """Return the artefacts of a kind, sorted: `tables/table1`, ... of "tables", `claims-sampling`, ... of "claims"."""
    if kind in FUNCTIONS:
        return [f"{kind}/{name}" for name in plugins.names(kind)]
    return sorted(name for name in OTHERS if name.split("-")[0] == kind)


@cache
def artefact(name: str) -> Artefact:
    """Return the declaration of an artefact, such as `tables/table1`, `figures/figure2` or `headline`.

    Raises BallastError if the file of a table or figure lacks its function, or a constant has the wrong type.
    """
    if name in OTHERS:
        return OTHERS[name]
    kind, _, short = name.partition("/")
    if kind not in FUNCTIONS or short not in plugins.names(kind):
        known = [*names("tables"), *names("figures"), *OTHERS]
        raise BallastError(f"no artefact is called '{name}'{plugins.nearest(name, known)}")
    file = file_of(name)
    if FUNCTIONS[kind] not in defined(name):
        raise BallastError(f"{file}: it has no function {FUNCTIONS[kind]}(options, paths); write one")
    given = {one.name: _declared(file, name, one.name, one.default) for one in fields(Artefact)}
    found = Artefact(**given)
    for key, known in (("one", AXES), ("keys", KEYS), ("reads", READS)):
        _known(file, key, getattr(found, key), known)
    if found.metrics and not found.experiment:
        raise BallastError(f'{file}: METRICS are those of an experiment; name it: EXPERIMENT = "sampling"')
    if found.reads == ("scores",) and not found.metrics and not {"others", "measured"} & set(found.keys):
        raise BallastError(f'{file}: it reads scores but names no METRICS; name some: METRICS = ("harm",)')
    return found


def check(study: Planned) -> None:
    """Raise BallastError if the file of a table or figure declares a name that no config has. Checks all files."""
    for kind in FUNCTIONS:
        for name in names(kind):
            file = file_of(name)
            short = name.partition("/")[2]
            if not re.fullmatch("[a-z0-9-]+", short):
                raise BallastError(f"{file}: name the file in small letters, digits and _")
            if kind == "figures" and short in OTHERS:
                raise BallastError(f"{file}: another rule draws figures/{short}; give the file another name")
            found = artefact(name)
            _known(file, "experiment", [found.experiment] if found.experiment else [], dict(study.experiments))
            _known(file, "metrics", found.metrics, dict(study.metrics))
            _known(file, "targets", found.targets, dict(study.targets))


def available(study: Planned, name: str, others: dict[str, dict]) -> bool:
    """Return whether the study has all that an artefact shows.

    `others`: sections of the measured metrics beyond the four, by name.
    """
    found = artefact(name)
    if "comparisons" in found.reads and not any(section["judge"] in study.pairwise for section in others.values()):
        return False
    if "others" in found.keys and not others:
        return False
    if {"labels", "pool"} & set(found.reads) and not study.pools:
        return False
    if found.experiment is None:
        return True
    grid = getattr(study.experiments, found.experiment)
    # The first metric is the one without which nothing is left to show.
    return grid is not None and set(found.metrics[:1]) <= set(grid.metrics)


def options_for(name: str, options: dict) -> dict:
    """Return the part of a study's options that an artefact uses, checked: its rule passes this as a param.

    `options`: study, synthetic, redact, judges {metric: judge}, labellers {behaviour: judge}, experiment {models,
    pools, samplers, n, trials}, others and measured {metric: its section}, and, if not empty, stand_ins {judge:
    sentence}, benchmarks {metric: benchmark}, declared {metric: its judge's declaration}, model_labels {model: label},
    second [{metric, by, judge and its declaration}], dualselect {method, safety_avg, utility, metrics}, targets {limit:
    value or null}. Raises BallastError if a used one is missing or holds more than the artefact can show.
    """
    needs = artefact(name)
    part = {key: _need(name, options, key) for key in ("study", "synthetic", *needs.keys)}
    if needs.metrics:
        judges = _need(name, options, "judges")
        part["judges"] = {metric: _need(f"{name}: judges", judges, metric) for metric in needs.metrics}
        part["experiment"] = _experiment(name, needs, _need(name, options, "experiment"))
        part["benchmarks"] = _only(needs.metrics, options.get("benchmarks"))
        part["declared"] = _only(needs.metrics, options.get("declared"))
        part["model_labels"] = _only(part["experiment"]["models"], options.get("model_labels"))
        if "published" in part:
            part["published"] = _only(part["experiment"]["models"], part["published"])
        used = part["judges"].values()
    elif {"others", "measured"} & set(needs.keys):
        sections = {**part.get("others", {}), **part.get("measured", {})}
        used = [metric["judge"] for metric in sections.values()]
    else:
        part["labellers"] = _need(name, options, "labellers")
        used = part["labellers"].values()
    if second := options.get("second"):
        part["second"] = second
        used = [*used, *(one["judge"] for one in second)]
    if claimed := options.get("dualselect"):
        part["dualselect"] = claimed
        used = [*used, *(metric["judge"] for metric in claimed["metrics"].values())]
    part["stand_ins"] = _only(used, options.get("stand_ins"))
    if needs.targets:
        limits = _only(needs.targets, options.get("targets"))
        part["targets"] = {limit: value for limit, value in limits.items() if value is not None}
    return part


def parse_options(name: str, text: str) -> Options:
    """Return an artefact's options from the command line's JSON.

    Raises BallastError if they are not JSON or incomplete.
    """
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise BallastError(f"{name}: --options is not valid JSON ({error.msg} at character {error.pos})") from None
    if not isinstance(raw, dict):
        raise BallastError(f"{name}: --options must be a JSON object")
    part = options_for(name, raw)
    if "experiment" in part:
        axes = {axis: tuple(part["experiment"][axis]) for axis in AXES}
        part["experiment"] = Experiment(**axes, trials=part["experiment"]["trials"])
    return Options(**part)


def _declared(file: str, plugin: str, key: str, default: object) -> object:
    """Return a constant of a table or figure: a name for EXPERIMENT, else names in a tuple."""
    value = constant(plugin, key.upper(), default)
    if key == "experiment":
        if value is not None and not isinstance(value, str):
            raise BallastError(f'{file}: EXPERIMENT must be a name such as "sampling", not {value!r}')
    elif not isinstance(value, tuple) or not all(isinstance(one, str) for one in value):
        raise BallastError(f'{file}: {key.upper()} must be a tuple of names such as ("harm",), not {value!r}')
    return value


def _known(file: str, key: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in given:
        if name not in known:
            raise BallastError(f"{file}: {key.upper()}: there is no '{name}'{plugins.nearest(name, known)}")


def _experiment(name: str, needs: Artefact, experiment: dict) -> dict:
    where = f"{name}: experiment"
    part = {key: _need(where, experiment, key) for key in (*AXES, "trials")}
    for axis in AXES:
        if not isinstance(part[axis], list | tuple) or not part[axis]:
            raise BallastError(f"{where}: '{axis}' must be a list with at least one value")
        if axis in needs.one and len(part[axis]) > 1:
            listed = ", ".join(map(str, part[axis]))
            raise BallastError(f"{where}: {name} shows one value of '{axis}', not {listed}; keep one")
    if not isinstance(part["trials"], int) or part["trials"] < 1:
        raise BallastError(f"{where}: 'trials' must be a whole number of at least 1, not {part['trials']!r}")
    return part


def _only(keys: Iterable[str], values: dict | None) -> dict:
    return {key: values[key] for key in sorted(set(keys)) if key in (values or {})}


def _need(where: str, options: dict, key: str) -> object:
    if not isinstance(options, dict) or key not in options:
        raise BallastError(f"{where}: '{key}' is missing from the options")
    return options[key]
