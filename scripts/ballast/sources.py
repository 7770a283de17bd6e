"""Where datasets and models come from: the mini world, or this machine. Checked before any job starts."""

import os
from pathlib import Path

from ballast.config import Judge, Model, Source, Study
from ballast.files import BallastError
from ballast.plugins import HOME, nearest

# What the mini world makes. A judge's entry is the model that it starts from, None for one that starts from nothing.
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
WORLD_MODELS = tuple(
    f"{family}-{stage}" for family in ("llama", "qwen2", "mistral") for stage in ("pretrained", "aligned")
)
WORLD_JUDGES = {
    "harm-rm": None,
    "helpful-rm": None,
    "wildguard": "mistral-pretrained",
    "md-judge": "mistral-pretrained",
    "category-llm": "llama-pretrained",
}


def own_template(name: str) -> str | None:
    """The prompt template that Ballast carries under a name, relative to the working folder; None where it has none."""
    found = sorted(HOME.glob(f"**/{name.replace('-', '_')}.json"))
    return os.path.relpath(found[0]) if found else None


def check(study: Study) -> None:
    """Raise where a source of the study is not on this machine or not among what the mini world makes."""
    for place, source in _places(study):
        is_model = place.startswith(("models", "judges", "labels")) and not place.endswith("canaries")
        if source.world:
            known = [*WORLD_MODELS, *WORLD_JUDGES] if is_model else list(WORLD_DATA)
            if source.world not in known:
                message = f"the mini world makes no '{source.world}'{nearest(source.world, known)}"
                raise BallastError(f"config: {place}.world: {message}")
        elif source.path and is_model:
            model_files(source.path, f"config: {place}.path: ")
        elif source.path and not Path(source.path).is_file():
            raise BallastError(f"config: {place}.path: {source.path}: no such file")


def model_files(path: str, place: str = "") -> list[str]:
    """The files of a model folder; raises where there is none. Nothing is ever looked up on a hub here."""
    folder = Path(path)
    if not (folder / "config.json").is_file():
        raise BallastError(f"{place}{path}: no model here (no config.json); give the folder of a model on this machine")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise BallastError(f"{place}{path}: no safetensors weights here; pickled weights are never loaded")
    return [str(file) for file in (*weights, *sorted(folder.glob("*.json")))]


def _places(study: Study) -> list[tuple[str, Source | Judge | Model]]:
    places = [(f"pools.{name}", data) for name, data in study.pools.items()]
    places += [(f"benchmarks.{name}", data) for name, data in study.benchmarks.items()]
    places += [(f"models.{name}", model) for name, model in study.models.items()]
    places += [(f"judges.{name}", judge) for name, judge in study.judges.items()]
    places += [(f"judges.{name}.canaries", judge.canaries) for name, judge in study.judges.items()]
    places += [("base", study.base), ("references", study.references)]
    places += [("labels.category_model", study.labels.category_model)]
    return [(place, source) for place, source in places if source is not None]


def stand_in(name: str, judge: Judge) -> str | None:
    """The sentence that says what stands in for a judge; None where the judge is the real one."""
    if name == "refusal-string":
        return "refusal-string, a rule on a response's opening words, stands in for WildGuard."
    return f"{name} is a tiny stand-in of the same class, trained in the mini world." if judge.world else None
