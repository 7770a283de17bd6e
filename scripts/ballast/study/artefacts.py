"""What each table and figure is told, and no more: an option that it does not use must not make it run again."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from ballast.files import BallastError


@dataclass(frozen=True)
class Artefact:
    """What a table, a figure or the headline needs."""

    metrics: tuple[str, ...] = ()
    one: tuple[str, ...] = ()  # axes of the experiment of which it shows one value
    keys: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()  # limits of the config's `targets` that it compares with
    experiment: str | None = None  # the experiment whose runs it shows


ARTEFACTS = {
    "tables/table1": Artefact(("harm",), one=("models", "pools"), experiment="sampling"),
    "tables/table2": Artefact(("asr",), one=("models", "pools"), experiment="sampling"),
    "tables/table3": Artefact(keys=("redact",)),
    "tables/table4": Artefact(("harm",), one=("pools",), experiment="transfer"),
    "tables/table5": Artefact(
        ("harm", "asr", "over_refusal", "helpfulness"), one=("pools", "samplers"), experiment="forgetting"
    ),
    "figures/figure2": Artefact(("harm", "helpfulness"), one=("models", "pools", "n"), experiment="behaviour"),
    "figures/figure3": Artefact(("harm",), one=("models", "pools"), experiment="sampling"),
    "figures/figure4": Artefact(("asr",), one=("models", "pools"), experiment="sampling"),
    "figures/figure5": Artefact(),
    "figures/figure6": Artefact(("over_refusal",), one=("models", "pools"), experiment="sampling"),
    "figures/figure7": Artefact(("asr",), one=("models",), experiment="rewriting"),
    "tables/contrasts": Artefact(
        ("harm", "asr", "over_refusal", "helpfulness"), one=("models", "pools"), experiment="sampling"
    ),
    "tables/budget": Artefact(
        ("harm", "asr", "over_refusal", "helpfulness"),
        one=("models", "pools"),
        targets=("harm", "asr"),
        experiment="sampling",
    ),
    "tables/categories": Artefact(("harm",), one=("models", "pools"), experiment="sampling"),
    "tables/beyond": Artefact(
        ("harm", "asr", "over_refusal", "helpfulness"), one=("models", "pools"), experiment="beyond"
    ),
    "spent": Artefact(("harm",), one=("models", "pools"), experiment="beyond"),
    "figures/beyond": Artefact(("harm", "over_refusal"), one=("models", "pools"), experiment="beyond"),
    "figures/frontier": Artefact(
        ("harm", "over_refusal", "helpfulness"), one=("models", "pools"), experiment="sampling"
    ),
    "figures/budget": Artefact(("harm",), one=("models", "pools"), experiment="sampling"),
    "figures/categories": Artefact(("harm",), one=("models", "pools"), experiment="sampling"),
    "tables/other": Artefact(keys=("others", "model_labels")),
    "tables/pairwise": Artefact(keys=("others", "model_labels")),
    "headline": Artefact(("harm", "asr", "over_refusal"), one=("models", "pools"), experiment="sampling"),
    "comparison-1": Artefact(("harm",), one=("models", "pools"), keys=("published",), experiment="sampling"),
    "comparison-2": Artefact(("asr",), one=("models", "pools"), keys=("published",), experiment="sampling"),
    "comparison-4": Artefact(("harm",), one=("pools",), keys=("published",), experiment="transfer"),
    # The claims, by the experiment whose runs they are about.
    "claims-sampling": Artefact(("harm", "asr", "over_refusal"), one=("models", "pools"), experiment="sampling"),
    "claims-behaviour": Artefact(("harm", "helpfulness"), one=("models", "pools", "n"), experiment="behaviour"),
    "claims-transfer": Artefact(("harm",), one=("pools",), experiment="transfer"),
    "claims-rewriting": Artefact(("asr",), one=("models",), experiment="rewriting"),
    "claims-forgetting": Artefact(("harm",), one=("pools", "samplers"), experiment="forgetting"),
    "advice": Artefact(
        ("harm", "asr", "over_refusal", "helpfulness"),
        one=("models", "pools"),
        targets=("harm", "asr", "over_refusal", "helpfulness_loss"),
        experiment="sampling",
    ),
    "gradients": Artefact(("harm", "over_refusal"), one=("models", "pools")),
    "trouble": Artefact(("harm", "asr", "over_refusal"), one=("models", "pools"), experiment="sampling"),
}
AXES = ("models", "pools", "samplers", "n")


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
    benchmarks: dict[str, str] = field(default_factory=dict)  # metric -> benchmark, where it is not the paper's
    model_labels: dict[str, str] = field(default_factory=dict)  # model -> its name in tables and figures
    labellers: dict[str, str] = field(default_factory=dict)  # what is labelled -> judge
    stand_ins: dict[str, str] = field(default_factory=dict)  # judge -> the sentence that says what stands for it
    published: dict[str, str] = field(default_factory=dict)  # model -> which model of the paper's tables it is
    targets: dict[str, float] = field(default_factory=dict)  # limit -> value; one that is not set is left out
    others: dict[str, dict] = field(default_factory=dict)  # metric beyond the four -> its section of the config
    experiment: Experiment | None = None

    def model_label(self, model: str) -> str:
        return self.model_labels.get(model, model)


def options_for(artefact: str, options: dict) -> dict:
    """The part of a study's options that `artefact` uses, checked; this is what a rule passes as its param.

    `options`: study, synthetic, redact, judges {metric: judge}, labellers {behaviour: judge}, experiment {models,
    pools, samplers, n, trials}, others {metric: its section}, and where there is something to say stand_ins {judge:
    sentence}, benchmarks {metric: benchmark}, model_labels {model: label}, targets {limit: value or null}. Raises
    BallastError where one that is used is missing or shows more than the artefact can.
    """
    needs = ARTEFACTS[artefact]
    part = {key: _need(artefact, options, key) for key in ("study", "synthetic", *needs.keys)}
    if needs.metrics:
        judges = _need(artefact, options, "judges")
        part["judges"] = {metric: _need(f"{artefact}: judges", judges, metric) for metric in needs.metrics}
        part["experiment"] = _experiment(artefact, _need(artefact, options, "experiment"))
        part["benchmarks"] = _only(needs.metrics, options.get("benchmarks"))
        part["model_labels"] = _only(part["experiment"]["models"], options.get("model_labels"))
        if "published" in part:
            part["published"] = _only(part["experiment"]["models"], part["published"])
        used = part["judges"].values()
    elif "others" in needs.keys:
        used = [metric["judge"] for metric in part["others"].values()]
    else:
        part["labellers"] = _need(artefact, options, "labellers")
        used = part["labellers"].values()
    part["stand_ins"] = _only(used, options.get("stand_ins"))
    if needs.targets:
        limits = _only(needs.targets, options.get("targets"))
        part["targets"] = {name: limit for name, limit in limits.items() if limit is not None}
    return part


def parse_options(artefact: str, text: str) -> Options:
    """Options from the command line's JSON. Raises BallastError where they are not JSON or lack something."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise BallastError(f"{artefact}: --options is not valid JSON ({error.msg} at character {error.pos})") from None
    if not isinstance(raw, dict):
        raise BallastError(f"{artefact}: --options must be a JSON object")
    part = options_for(artefact, raw)
    if "experiment" in part:
        axes = {axis: tuple(part["experiment"][axis]) for axis in AXES}
        part["experiment"] = Experiment(**axes, trials=part["experiment"]["trials"])
    return Options(**part)


def _experiment(artefact: str, experiment: dict) -> dict:
    where = f"{artefact}: experiment"
    part = {key: _need(where, experiment, key) for key in (*AXES, "trials")}
    for axis in AXES:
        if not isinstance(part[axis], list | tuple) or not part[axis]:
            raise BallastError(f"{where}: '{axis}' must be a list with at least one value")
        if axis in ARTEFACTS[artefact].one and len(part[axis]) > 1:
            listed = ", ".join(map(str, part[axis]))
            raise BallastError(f"{where}: {artefact} shows one value of '{axis}', not {listed}; keep one")
    if not isinstance(part["trials"], int) or part["trials"] < 1:
        raise BallastError(f"{where}: 'trials' must be a whole number of at least 1, not {part['trials']!r}")
    return part


def _only(keys: Iterable[str], values: dict | None) -> dict:
    return {key: values[key] for key in sorted(set(keys)) if key in (values or {})}


def _need(where: str, options: dict, key: str) -> object:
    if not isinstance(options, dict) or key not in options:
        raise BallastError(f"{where}: '{key}' is missing from the options")
    return options[key]
