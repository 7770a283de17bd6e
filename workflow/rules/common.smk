"""The study's config, checked; its runs, datasets and paths."""

import json
import os
import shlex

from ballast import config as study_config
from ballast import preload, sources
from ballast.files import BallastError, read_text
from ballast.identity import code_identity, constant
from ballast.results.options import options_for
from ballast.runs import AS_IS, as_is_path, from_path, runs, seed

try:
    study = study_config.load(study_config.extended(config, workflow.configfiles))
    sources.check(study)
except BallastError as error:
    sys.exit(f"ballast: {error}")


RESULTS = f"results/{study.study}"
WORLD = f"results/worlds/{study.world.name}"
# `stage train ...` in a rule runs scripts/train.py; no path of this machine enters the rule.
STAGE = shlex.join([sys.executable, f"{workflow.basedir}/scripts/stage.py"])
shell.prefix(f'stage() {{{{ {STAGE} "$@"; }}}}; ')

ALPACA_SHAPED = sources.own_template("alpaca-shaped")
CATEGORY_TEMPLATE = study.labels.category_template or sources.own_template("category-llm")

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
    run=r"[^/]+/(as-is|[^/]+/[^/]+/n\d+/t\d+)",
    benchmark="|".join(study.benchmarks),
    judge="[a-z0-9-]+",
    family="llama|qwen2|mistral",
    number=r"\d",
