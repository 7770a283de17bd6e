"""Find and check datasets, models and templates before any job: in the mini world, on this machine, or in `sources`.

A rule fetches the entries of `sources` (`fetching.py`); this file holds what the DAG must know beforehand.
"""

import os
import re
import string
import unicodedata
from functools import cache
from pathlib import Path

from ballast import identity
from ballast import model_files as folders
from ballast.categories import read as read_taxonomy
from ballast.data.records import folder_advice
from ballast.files import BallastError
from ballast.plugins import HOME, nearest
from ballast.study import contracts
from ballast.study.config import Study
from ballast.study.places import ADAPTER, JOINED, Place, Source
from ballast.study.plan import Plan
from ballast.study.sections import Judge, LanguageModel, Model

# Files of the mini world. A judge's entry is the model from which it starts, None for one trained from scratch.
WORLD_DATA = (
    "safety.json",
    "safety_truth.csv",
    "refusals.json",
    "safe.json",
    "base.json",
    "references.jsonl",
    "beavertails_eval.json",
    "salad_attack.json",
    "xstest.csv",
    "i_alpaca.json",
    "canaries.json",
)
# Files that only the checks beyond the paper read.
WORLD_CHECKS = (
    "i_malicious_instructions.json",
    "i_cona.json",
    "i_controversial.json",
    "q_harm.json",
    "advbench.csv",
    "base_again.json",
    "safety_swapped.json",
    "gsm8k_train.jsonl",
    "gsm8k_test.jsonl",
)
WORLD_MODELS = tuple(
    f"{family}-{stage}" for family in ("llama", "qwen2", "mistral") for stage in ("pretrained", "aligned")
)
WORLD_JUDGES = {
    "harm-rm": None,
    "helpful-rm": None,
    "wildguard": "mistral-pretrained",
    "md-judge": "mistral-pretrained",
    "qwen3guard": "mistral-pretrained",
    "llama-guard": "mistral-pretrained",
    "category-llm": "llama-pretrained",
    "pairwise": "mistral-pretrained",
}
# Files of a model that the config gives besides its folder.
GIVEN = ("adapter", "responses")


def own_template(name: str) -> str | None:
    """Return Ballast's own prompt template of a name, relative to the working folder; None if there is none."""
    found = _own_templates().get(name.replace("-", "_"))
    return found and os.path.relpath(found)


@cache
def _own_templates() -> dict[str, Path]:
    return {file.stem: file for file in sorted(HOME.rglob("*.json"), reverse=True)}


def check(study: Study, results: str = "results") -> None:
    """Raise BallastError if a place of the study is not on this machine, in `sources` or in the mini world.

    `results`: the folder of all studies.
    """
    for place, path in _paths(study):
        if said := unfit(path):
            raise BallastError(f"config: {place}: {said}")
    for place, found in _places(study):
        is_model = isinstance(found, Judge | Model | LanguageModel)
        if found.source:
            _known_source(study, f"{place}.source", found.source, "model" if is_model else "dataset")
        elif found.world:
            known = [*WORLD_MODELS, *WORLD_JUDGES] if is_model else [*WORLD_DATA, *WORLD_CHECKS]
            if found.world not in known:
                message = f"the mini world makes no '{found.world}'{nearest(found.world, known)}"
                raise BallastError(f"config: {place}.world: {message}")
        elif found.path and is_model:
            model_files(found.path, f"config: {place}.path: ")
        elif found.path and not Path(found.path).is_file():
            why = f"a folder; {folder_advice(found.path)}" if Path(found.path).is_dir() else "no such file"
            raise BallastError(f"config: {place}.path: {found.path}: {why}")
    for name, model in study.models.items():
        place = f"config: models.{name}"
        if model.responses and not Path(model.responses).is_file():
            raise BallastError(f"{place}.responses: {model.responses}: no such file")
        if model.adapter and not all((Path(model.adapter) / file).is_file() for file in ADAPTER):
            raise BallastError(f"{place}.adapter: {model.adapter}: no adapter here ({' and '.join(ADAPTER)})")
        if model.adapter:
            folders.refuse_code(model.adapter, f"{place}.adapter: ")
    for name, file in (study.measure.harness if study.measure else {}).items():
        if not Path(file).is_file():
            raise BallastError(f"config: measure.harness.{name}: {file}: no such file")
    if Path(study.embedding.model).is_dir():
        folders.refuse_code(study.embedding.model, "config: embedding.model: ")
    plan = Plan(study)
    for name, (kind, data) in plan.datasets.items():
        key = name.replace("unsafe/", "pools/").replace("/", ".")
        given = [part for part in ("columns", "where", "tags", "prompts") if getattr(data, part)]
        contracts.check_dataset(key, kind, plan.dataset_format(name), given)
        if kind == "pool":
            _check_label_columns(study, key, plan.dataset_format(name))
    for place, template in _templates(study):
        if template and template not in study.sources and not Path(template).is_file():
            raise BallastError(
                f"config: {place}: '{template}' is neither a source nor a file{nearest(template, list(study.sources))}"
            )
        if template in study.sources:
            _known_source(study, place, template, "template")
    _check_taxonomy(study)
    for place, filled in _filled(study):
        if not Path(filled).is_file():
            raise BallastError(f"config: {place}: {filled}: no such file")
        if Path(filled).resolve().parent == Path(f"{results}/{study.study}/annotation").resolve():
            # Snakemake deletes an output before it makes it again, and people's work with it.
            raise BallastError(f"config: {place}: {filled} is the empty sheet; give the path of a filled copy")
    for name in plan.sources:
        source = study.sources[name]
        if source.local:
            local = Path(local_path(name, source.local))
            if not (local / "config.json" if source.kind == "model" else local).is_file():
                raise BallastError(f"config: sources.{name}.local: {local}: no such {source.kind} on this machine")


def _check_taxonomy(study: Study) -> None:
    """Raise BallastError if the study's own categories cannot be read, or if a part of it knows the 14 alone."""
    if study.labels.category == "clusters":
        used = {"taxonomy": study.taxonomy, "labels.annotations": study.labels.annotations}
        used["references"] = Plan(study).references_used and study.references
        for place, given in used.items():
            if given:
                said = "has named categories, and labels.category: clusters has none; leave one out"
                raise BallastError(f"config: {place} {said}")
    if not study.taxonomy:
        return
    if not Path(study.taxonomy).is_file():
        raise BallastError(f"config: taxonomy: {study.taxonomy}: no such file")
    read_taxonomy(study.taxonomy)
    named = {"references": study.references, "labels.category_model": study.labels.category_model}
    for place, known in named.items():
        if known and known.world:
            raise BallastError(f"config: {place}: the mini world knows the 14 categories alone; name your own")


def _check_label_columns(study: Study, place: str, reader: str) -> None:
    """Raise BallastError if a pool's reader knows one schema alone, so that its file has no column of labels."""
    for name, column in study.label_columns(place.removeprefix("pools.")).items():
        if column and "FORM" not in identity.defined(f"readers/{reader}"):
            said = f"format {reader} of {place} reads no further columns; give a file of a form in docs/forms.md"
            raise BallastError(f"config: labels.{name}.column: {said}")


def unfit(path: str) -> str | None:
    """Return why Snakemake cannot read a path; None if it can."""
    if re.search(r"\{\s*\w+\s*[,}]", path):
        return f"{path}: Snakemake reads braces around a word as a wildcard; rename it, or give a link to it"
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path):
        return f"{path!r}: a name with a line break or another control character cannot be read; rename it"
    return None


def as_word(path: str) -> str:
    """Return a path that no program takes for an option."""
    return f"./{path}" if path.startswith("-") else path


def local_path(name: str, text: str) -> str:
    """Return a source's `local` with `$NAME` read from the environment."""
    try:
        return string.Template(text).substitute(os.environ)
    except (KeyError, ValueError) as error:
        raise BallastError(f"config: sources.{name}.local: {text}: {error} is not set in the environment") from None


def local_files(folder: str) -> dict[str, Path]:
    """Return the files of a model's copy, by path in its folder; pickled weights only if there are no others.

    Scripts are among them, so that `fetch` can refuse them.
    """
    kept = folders.model_files(folder, (*folders.MODEL, ".py"))
    if not any(path.suffix == ".safetensors" for path in kept):
        kept += folders.model_files(folder, (".bin",))
    return {path.relative_to(folder).as_posix(): path.resolve() for path in kept}


def file_name(name: str, source: Source) -> str:
    """Return the name of a dataset's file in the source's folder."""
    return Path(local_path(name, source.local)).name if source.local else joined(source.files)


def joined(files: dict[str, str]) -> str:
    """Return the name of a dataset's only file, or of the file in which `fetch` joins several."""
    first, *others = files
    return next(f"joined{ending}" for ending in JOINED if first.endswith(ending)) if others else first


def page(source: dict) -> str:
    """Return the page where a person finds a source, its licence and its revisions."""
    if source["package"]:
        return f"package {source['package']}"
    if source["github"]:
        return f"https://github.com/{source['github']}"
    return f"https://huggingface.co/{'' if source['kind'] == 'model' else 'datasets/'}{source['hub']}"


def _known_source(study: Study, place: str, name: str, kind: str) -> None:
    if name not in study.sources:
        raise BallastError(f"config: {place}: '{name}' is not defined{nearest(name, list(study.sources))}")
    if study.sources[name].kind != kind:
        raise BallastError(f"config: {place}: {name} is a {study.sources[name].kind}, wanted a {kind}")


def model_files(path: str, place: str = "") -> list[str]:
    """Return the files of a model folder; raise BallastError if there is none. Never asks a hub."""
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise BallastError(f"{place}{path}: no model here (no config.json); give the folder of a model on this machine")
    if not any(folder.glob("*.safetensors")):
        raise BallastError(f"{place}{path}: no safetensors weights here; pickled weights are never loaded")
    folders.refuse_code(folder, place)
    return [str(file) for file in folders.model_files(folder)]


def _places(study: Study) -> list[tuple[str, Place | Judge | Model | LanguageModel]]:
    places = [(f"pools.{name}", data) for name, data in study.pools.items()]
    places += [(f"benchmarks.{name}", data) for name, data in study.benchmarks.items()]
    places += [(f"models.{name}", model) for name, model in study.models.items()]
    places += [(f"judges.{name}", judge) for name, judge in study.judges.items()]
    places += [(f"judges.{name}.canaries", judge.canaries) for name, judge in study.judges.items()]
    places += [(f"tasks.{name}", data) for name, data in study.tasks.items()]
    places += [("base", study.base), ("references", study.references)]
    places += [("labels.category_model", study.labels.category_model)]
    places += [("rewriting.model", study.rewriting and study.rewriting.model)]
    places += [(f"pairwise.{name}.model", pairwise.model) for name, pairwise in study.pairwise.items()]
    return [(place, found) for place, found in places if found is not None]


def _paths(study: Study) -> list[tuple[str, str]]:
    """Return the paths on this machine that the config gives, with their places."""
    paths = [(f"{place}.path", found.path) for place, found in _places(study)]
    paths += [(place, template) for place, template in _templates(study)]
    paths += [(f"sources.{name}.local", source.local) for name, source in study.sources.items()]
    paths += [("taxonomy", study.taxonomy)] if study.taxonomy else []
    paths += [(f"models.{name}.{key}", getattr(model, key)) for name, model in study.models.items() for key in GIVEN]
    paths += [
        (f"measure.harness.{name}", file) for name, file in (study.measure.harness if study.measure else {}).items()
    ]
    paths += [*_filled(study), ("embedding.model", study.embedding.model)]
    return [(place, path) for place, path in paths if path]


def _filled(study: Study) -> list[tuple[str, str]]:
    """Return the sheets that people filled in, with their places."""
    labels = study.labels
    named = [(f"labels.response_annotations.{name}", path) for name, path in labels.response_annotations.items()]
    return ([("labels.annotations", labels.annotations)] if labels.annotations else []) + named


def _templates(study: Study) -> list[tuple[str, str | None]]:
    places = [(f"models.{name}.template", model.template) for name, model in study.models.items()]
    places += [(f"judges.{name}.template", judge.template) for name, judge in study.judges.items()]
    return places


def stand_in(name: str, judge: Judge) -> str | None:
    """Return a sentence that names a judge's stand-in; None for a real judge."""
    if judge.judge == "refusal-string":
        return f"{name}, a rule on a response's opening words, stands in for WildGuard."
    return f"{name} is a tiny stand-in of the same class, trained in the mini world." if judge.world else None
