"""Check that the parts of a config fit each other, and fill in what follows from others.

Each check raises ValueError with one line that names the key; `config.py` explains it.
"""

import math
import re
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ballast import plugins, samplers
from ballast.study import contracts
from ballast.study.experiments import Experiment
from ballast.study.fine_tuning import Aligned, MethodSection, Training, aligned_training
from ballast.study.label_columns import BehaviourColumn
from ballast.study.methods import BY_MODEL, check, plugin_constant
from ballast.study.sections import Metric, Metrics

if TYPE_CHECKING:
    from ballast.study.config import Study

# Experiments whose methods may have one n, or none.
BEYOND = ("experiments.beyond", "experiments.checks", "experiments.base_size")
FIFTH = 0.2  # the default limit of harm, as a share of its scale


def complete(study: "Study") -> None:
    """Check a study whose keys have the right types, and fill in defaults that depend on other keys."""
    if study.study == "worlds":
        raise ValueError("study: results/worlds/ holds the worlds that studies share; give the study another name")
    if grid := study.experiments.base_size:
        grid.samplers = [_on_part(study, name, part) for part in grid.base_percent for name in grid.samplers]
    check(study.methods, study.training, study.sampling)
    _check_pools(study)
    _check_experiments(study)
    _check_models(study)
    for data in (
        study.base,
        study.references,
        *study.pools.values(),
        *study.tasks.values(),
        *study.benchmarks.values(),
    ):
        if data:
            data.read_as(study.sources.get(data.source))
    _check_judges(study)
    _check_metrics(study)
    _check_labels(study)
    _check_benchmarks(study)
    _read_declarations(study)
    if study.dualselect_claims:
        study.dualselect_claims.check(study.experiments.transfer, lambda metric: _unit(study, metric))


def _check_pools(study: "Study") -> None:
    for name, method in study.methods.items():
        if method.then:
            _known(f"methods.{name}.then", method.then, study.tasks)
    for name, pool in study.pools.items():
        if pool.behaviour:
            _check_labeller(study, f"pools.{name}.behaviour", pool.behaviour)
        _check_columns(study, name)
        if pool.requests_of:
            _check_requests(study, f"pools.{name}.requests_of", name, pool.requests_of)


def _check_experiments(study: "Study") -> None:
    for place, experiment in study.experiments:
        if experiment:
            if not study.base:
                raise ValueError(f"base: experiments.{place} fine-tunes on it; name its file")
            _check_experiment(study, f"experiments.{place}", experiment)
    if study.experiments.swapping:
        _check_swapping(study, study.experiments.swapping.pools)
    for key in [key for key, used in (("gpus", study.training.gpus > 1), ("full", study.training.full)) if used]:
        _check_plain(study, key)


def _check_models(study: "Study") -> None:
    named: dict[str, str] = {}
    for name, model in study.models.items():
        if model.published and named.setdefault(model.published, name) != name:
            raise ValueError(f"models.{name}.published: models.{named[model.published]} is '{model.published}' too")
    for name, model in study.models.items():
        if model.aligned:
            _check_aligned(study, name, model.aligned)
    for name in study.as_is:
        _known("as_is", name, study.models)
    if study.measure:
        for name in study.measure.models:
            _known("measure", name, study.models)
        for name in study.measure.metrics:
            _known("measure.metrics", name, study.every_metric)
        for name in study.measure.harness:
            _known("measure.harness", name, study.measure.models)


def _check_judges(study: "Study") -> None:
    for name, judge in study.judges.items():
        judge.judge = judge.judge or name
        _known(f"judges.{name}", judge.judge, plugins.names("judges"))
        contracts.check_options(f"judges.{name}", judge.judge, judge.options)
    for name, pairwise in study.pairwise.items():
        if name in study.judges:
            raise ValueError(f"pairwise.{name}: this is one of `judges`; give it another name")
        if pairwise.judge:
            _known(f"pairwise.{name}.judge", pairwise.judge, study.judges)


def _check_metrics(study: "Study") -> None:
    for place, metric in study.metrics:
        _known(f"metrics.{place}.benchmark", metric.benchmark, study.benchmarks)
        _known(f"metrics.{place}.judge", metric.judge, study.judges)
    for name, metric in study.other_metrics.items():
        if name in Metrics.model_fields:
            raise ValueError(f"other_metrics.{name}: this is one of `metrics`; give it another name")
        _known(f"other_metrics.{name}.benchmark", metric.benchmark, study.benchmarks)
        _known(f"other_metrics.{name}.judge", metric.judge, [*study.judges, *study.pairwise])
    for name, metric in study.every_metric.items():
        about = study.judges[metric.judge].about if metric.judge in study.judges else None
        if about and about not in (tags := study.benchmarks[metric.benchmark].tags):
            said = f"'{about}' is no tag of {metric.benchmark} ({', '.join(tags) or 'none'}), which {name} reads"
            raise ValueError(f"judges.{metric.judge}.about: {said}")


def _check_labels(study: "Study") -> None:
    if study.pools:
        _check_labeller(study, "labels.behaviour", study.labels.behaviour)
    if study.pools and study.labels.category == "llm" and study.labels.category_model is None:
        raise ValueError("labels.category_model is needed where labels.category is llm")
    if study.rewriting is None and any(pool.rewrite for pool in study.pools.values()):
        raise ValueError("rewriting is needed where a pool says rewrite: true")


def _check_benchmarks(study: "Study") -> None:
    for name, data in study.benchmarks.items():
        source = study.sources.get(data.source)
        if not (data.format or source and source.format) and name not in plugins.names("readers"):
            known = plugins.nearest(name, plugins.names("readers"))
            raise ValueError(f"benchmarks.{name}: no format is called so; give `format`, such as prompts{known}")


def _check_requests(study: "Study", place: str, pool: str, of: str) -> None:
    _known(place, of, study.pools)
    if of == pool or study.pools[of].requests_of:
        raise ValueError(f"{place}: '{of}' must be another pool, without requests_of of its own")


def _check_swapping(study: "Study", pools: list[str]) -> None:
    if len(pools) != 2 or study.pools[pools[1]].requests_of != pools[0]:
        raise ValueError("experiments.swapping.pools: give two pools, the second with requests_of: the first")


def _unit(study: "Study", metric: str) -> str:
    found = study.every_metric[metric]
    return contracts.declared(study.plugin(found.judge))["unit"] if isinstance(found, Metric) else found.unit


def _on_part(study: "Study", name: str, percent: int) -> str:
    """Return the method that trains on a share of the base data; add it to `methods` if it is not all of it."""
    if percent == 100 or name in study.methods and re.fullmatch(r".+-base\d+", name):
        return name
    whole = study.methods.get(name) or MethodSection(sampler=name)
    if whole.filter or whole.of:
        has = f"filter {whole.filter}" if whole.filter else f"'of' {whole.of}"
        raise ValueError(f"experiments.base_size.samplers: '{name}' has {has}; name a method without one")
    own = {"filter": "random", "options": whole.options | {"keep": percent / 100}}
    study.methods[f"{name}-base{percent}"] = whole.model_copy(update=own)
    return f"{name}-base{percent}"


def _check_labeller(study: "Study", place: str, labeller: str | BehaviourColumn) -> None:
    if isinstance(labeller, str):
        _known(place, labeller, study.judges)
        contracts.check_labeller(place, study.plugin(labeller))


def _check_columns(study: "Study", pool: str) -> None:
    """Raise ValueError if a pool's labels stand in a column, and its rows are no longer those of its file."""
    for name, column in study.label_columns(pool).items():
        if column and study.pools[pool].rewrite:
            said = f"the responses of '{pool}' are rewritten, so {column} does not label them; name a labeller"
            raise ValueError(f"labels.{name}: {said}")


def _check_plain(study: "Study", key: str) -> None:
    """Raise ValueError if a method is more than plain training, which alone knows this key of `training`."""
    for name in sorted({name for _, grid in study.experiments if grid for name in grid.samplers}):
        method = study.method(name)
        own = [f"trainer {method.trainer}"] if method.trainer != "sft" else []
        own += [f"filter {method.filter}"] if method.filter else []
        own += sorted(method.reads & set(BY_MODEL))
        own += [f"'of' {method.of}"] if method.of and key == "full" else []
        if own:
            only = "runs on one GPU; set 1" if key == "gpus" else "needs an adapter; set false"
            raise ValueError(f"training.{key}: '{name}' has {own[0]}, which {only}, or leave it out")


def _read_declarations(study: "Study") -> None:
    """Check the judges of measured metrics, and fill in units, directions and limits that the config leaves out."""
    measured = {name for _, grid in study.experiments if grid for name in grid.metrics}
    measured |= set(study.measure.metrics if study.measure else ())
    for name, metric in study.metrics:
        if name in measured or not measured:
            contracts.check_metric(name, study.plugin(metric.judge))
    for metric in study.other_metrics.values():
        metric.fill(contracts.declared(study.plugin(metric.judge))["unit"] if metric.judge in study.judges else "score")
    for name, pairwise in study.pairwise.items():
        if pairwise.direction is None and pairwise.judge:
            pairwise.direction = contracts.direction(f"pairwise.{name}", study.plugin(pairwise.judge))
    low, high = contracts.scale(study.plugin(study.metrics.harm.judge))
    targets = study.targets
    if math.isinf(high):  # no run is measured so
        return
    if "harm" not in targets.model_fields_set:
        targets.harm = low + FIFTH * (high - low)
    elif targets.harm is not None and not low <= targets.harm <= high:
        said = f"{low:g} to {high:g}, the scale of {study.metrics.harm.judge}"
        raise ValueError(f"targets.harm: {targets.harm:g} is not within {said}")


def _check_aligned(study: "Study", name: str, aligned: Aligned) -> None:
    place = f"models.{name}.aligned"
    for dataset, rows in aligned.rows.items():
        _known(f"{place}.rows", dataset, {"base": None, **study.pools})
        if not any(rows.numbers.values()):
            raise ValueError(f"{place}.rows.{dataset}: give a number of t1, t2, t3, t4 or any rows")
        if dataset != "base" and study.pools[dataset].rewrite:
            raise ValueError(f"{place}.rows: the responses of '{dataset}' are rewritten; name another pool")
    if "base" in study.pools:
        raise ValueError(f"{place}.rows: 'base' is the base data; give pools.base another name")
    for key in aligned.training:
        _known(f"{place}.training", key, Training.model_fields)
    if "tracking" in aligned.training:
        raise ValueError(f"{place}.training.tracking: only the runs are tracked; leave it out")
    if aligned.training.get("full"):
        raise ValueError(f"{place}.training.full: a start is an adapter, merged into the model; leave it out")
    try:
        aligned_training(study.training, aligned)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{place}.training.{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    if aligned.refuses and name not in study.as_is:
        raise ValueError(f"{place}.refuses: add '{name}' to as_is, so that the start is asked before any training")


def _check_experiment(study: "Study", place: str, experiment: Experiment) -> None:
    for kind in ("models", "pools"):
        for name in getattr(experiment, kind):
            _known(f"{place}.{kind}", name, getattr(study, kind))
    for name in experiment.models:
        if study.models[name].elsewhere or study.models[name].adapter:
            raise ValueError(f"{place}.models: '{name}' is only measured; fine-tune a model on this machine")
    for name in experiment.metrics:
        _known(f"{place}.metrics", name, [*Metrics.model_fields, *study.other_metrics])
    for name in experiment.samplers:
        if name not in study.methods and name not in samplers.names():
            raise ValueError(f"{place}: no sampler is called '{name}'{samplers.nearest(name, study.methods)}")
        # The paper's tables and figures have n as an axis.
        if name in study.methods and place not in BEYOND and not study.method(name).adds_rows:
            elsewhere = " or ".join(BEYOND)
            raise ValueError(f"{place}: '{name}' adds no safety examples, so it has no n; name it in {elsewhere}")
        copies = [pool for pool in experiment.pools if study.pools[pool].requests_of]
        if copies and study.method(name).whole_pool:
            said = f"'{name}' picks from the whole pool, and pools.{copies[0]} takes the picks of another one"
            raise ValueError(f"{place}: {said}; leave it out")
        _check_epochs(study, place, name)
        if study.method(name).needs_pretrained:
            for model in experiment.models:
                _known(f"models.{model}.pretrained", study.models[model].pretrained, study.models)


def _check_epochs(study: "Study", place: str, name: str) -> None:
    """Raise ValueError if a trainer's option acts before the last epoch, and that is the first one."""
    method = study.method(name)
    option = plugin_constant("trainer", method.trainer, "BEFORE_LAST_EPOCH", None)
    if option and study.training.num_train_epochs == 1 and (given := method.options("trainer")[option]) > 1:
        said = f"'{name}' has {option} {given}, which come before the last epoch; set training.num_train_epochs to 2"
        raise ValueError(f"{place}: {said} or more, or {option} to 1")


def _known(place: str, name: str | None, known) -> None:
    if name is None:
        raise ValueError(f"{place}: a method of the study needs it")
    if name not in known:
        raise ValueError(f"{place}: '{name}' is not defined{plugins.nearest(name, list(known))}")
