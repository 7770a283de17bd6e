"""The study's config, its paths, and the functions that rules ask for inputs and options."""

import json
import os
import shlex
from itertools import chain
from pathlib import Path

from snakemake.exceptions import WorkflowError

from ballast import config as study_config
from ballast import preload, sources
from ballast.files import BallastError, read_text
from ballast.identity import code_identity, constant
from ballast.results.options import options_for
from ballast.runs import AS_IS, Run, as_is_path, from_path, runs, seed

try:
    study = study_config.load(study_config.extended(config, workflow.configfiles))
    sources.check(study)
except BallastError as error:
    sys.exit(f"ballast: {error}")


RESULTS = f"results/{study.study}"
WORLD = f"results/worlds/{study.world.name}"
STAGE = shlex.join([sys.executable, f"{workflow.basedir}/scripts/stage.py"])
ALPACA_SHAPED = f"{workflow.basedir}/scripts/ballast/alpaca_shaped.json"

RUNS = runs(study)
MEASURED = [run.path for run in RUNS] + [as_is_path(model) for model in study.as_is]
SUBSETS = sorted({f"{RESULTS}/subsets/{run.subset}.csv" for run in RUNS})
JUDGEMENTS = sorted({(metric.benchmark, metric.judge) for _, metric in study.metrics})

DATASETS = {
    **{f"pools/{name}": ("pool", data) for name, data in study.pools.items()},
    **{f"benchmarks/{name}": ("benchmark", data) for name, data in study.benchmarks.items()},
    "base": ("base", study.base),
    **({"references": ("references", study.references)} if study.references else {}),
}
MODEL_FILES = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
# A judge is asked in one way only, so it needs no generation config.
JUDGE_FILES = tuple(name for name in MODEL_FILES if name != "generation_config.json")


wildcard_constraints:
    dataset="|".join(DATASETS),
    pool="|".join(study.pools),
    model="|".join(study.models),
    sampler="[a-z0-9-]+",
    n=r"\d+",
    trial=r"\d+",
    run="|".join(MEASURED),
    benchmark="|".join(study.benchmarks),
    judge="[a-z0-9-]+",
    family="llama|qwen2|mistral",
    number=r"\d",


def as_json(section):
    """Options as one stable JSON text: equal options are equal params, whatever the order of keys in the config."""
    return json.dumps(section if isinstance(section, dict) else section.model_dump(), sort_keys=True)


def data_file(data):
    return f"{WORLD}/data/{data.world}" if data.world else data.path


def model_folder(source):
    return f"{WORLD}/models/{source.world}" if source.world else source.path


def model_files(source):
    """Every file that defines a model, so that another model under the same name is another input."""
    if source.world:
        names = JUDGE_FILES if source.world in sources.WORLD_JUDGES else MODEL_FILES
        return [f"{WORLD}/models/{source.world}/{name}" for name in names]
    return sources.model_files(source.path)


def judge_files(name):
    """A judge's model and canaries; none for a judge that is a rule."""
    judge = study.judges[name]
    files = model_files(judge) if judge.world or judge.path else []
    return (
        files + ([data_file(judge.canaries)] if judge.canaries else []) + ([judge.template] if judge.template else [])
    )


def judge_options(name):
    judge = study.judges[name]
    model = {"model": model_folder(judge)} if judge.world or judge.path else {}
    return as_json(judge.model_dump(include={"template", "batch_size", "max_length"}) | model)


def canaries_option(name):
    canaries = study.judges[name].canaries
    return f"--canaries {shlex.quote(data_file(canaries))}" if canaries else ""


def options(arguments):
    """`--name path` for each named file that there is."""
    return " ".join(f"--{name} {shlex.quote(path)}" for name, path in arguments.items() if path)
