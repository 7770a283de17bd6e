"""The study's config, checked; its runs, datasets and paths."""

import argparse
import dataclasses
import functools
import json
import os
import shlex

import psutil
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import DeploymentMethod

from ballast.study import config as study_config
from ballast.running import failures, preload
from ballast import identity
from ballast.study import sources
from ballast.files import BallastError, read_text
from ballast.identity import constant
from ballast.study.methods import plugin_constant
from ballast.study import artefacts as declared
from ballast.study.runs import AS_IS, Run, from_path, measured, opponent, runs, seed, subset, trained
from ballast.study.sections import UNKNOWN

try:
    study = study_config.load(study_config.extended(config, workflow.configfiles))
    sources.check(study)
    declared.check(study)
except BallastError as error:
    sys.exit(f"ballast: {error}")


# Asked once for every job, and the code does not change between two.
code_identity = functools.cache(identity.code_identity)

RESULTS = f"results/{study.study}"
WORLD = f"results/worlds/{study.world.name}"
# `stage train ...` in a rule runs scripts/train.py; no path of this machine enters the rule.
# With `--sdm conda` or `--sdm apptainer` the interpreter is that of the job's environment.
DEPLOYED = {DeploymentMethod.CONDA, DeploymentMethod.APPTAINER} & set(workflow.deployment_settings.deployment_method)
IMAGE = "envs/ballast.sif"
if DeploymentMethod.APPTAINER in DEPLOYED and not os.path.exists(IMAGE):
    sys.exit(f"ballast: {IMAGE}: no image here; docs/containers.md says how it is built")
STAGE = shlex.join(["python" if DEPLOYED else sys.executable, f"{workflow.basedir}/scripts/stage.py"])
# The shell waits for a stage that is told to stop, so that it can save.
shell.prefix(f'trap : TERM; stage() {{{{ {STAGE} "$@"; }}}}; ')


def tell_stages(scheduler, *signal):
    """A cluster may tell only the first process of a job that its time is up: here it tells the others."""
    if scheduler.workflow.local_exec:
        for process in psutil.Process().children(recursive=True):
            process.terminate()
    wait_for_jobs(scheduler, *signal)


def schedule_together(scheduler):
    """Judgements that travel as one job of a cluster, each in a Snakemake of its own, share a preloaded process."""
    judging = ("judge", "pairwise")
    if not DEPLOYED and sum(job.rule.name in judging for job in scheduler.workflow.dag.needrun_jobs()) > 1:
        preload.start()
    return schedule(scheduler)


def pays_to_preload():
    """Whether more jobs are pending than import their libraries in the time that the preloaded process takes.

    Behind a barrier that is still to come nobody knows how many there are.
    """
    pending = [job.rule.name for job in workflow.dag.needrun_jobs()]
    return not DEPLOYED and (len(pending) > 3 or "settle" in pending)


if not workflow.is_main_process:  # there `onstart` is not called
    wait_for_jobs, JobScheduler.exit_gracefully = JobScheduler.exit_gracefully, tell_stages
    schedule, JobScheduler.schedule = JobScheduler.schedule, schedule_together

ALPACA_SHAPED = sources.own_template("alpaca-shaped")

# Stages that run models in words need vLLM's environment where a backend of the study is vLLM.
COMPARING = [pairwise.model for pairwise in study.pairwise.values() if pairwise.model]
BACKENDS = {study.generation.backend, *(judge.backend for judge in (*study.judges.values(), *COMPARING))}
MODEL_ENV = f"../../envs/{'vllm' if 'vllm' in BACKENDS else 'ballast'}.yaml"

RUNS = runs(study)
MEASURED = measured(study)
TRAINED = trained(study)
SUBSETS = sorted({f"{RESULTS}/subsets/{stem}.csv" for run in TRAINED if (stem := subset(study, run))})
# Samplers of one behaviour.
BEHAVIOURS = ("t1", "t2", "t3", "t4")
METRICS = {name: metric.model_dump(include={"benchmark", "judge"}) for name, metric in study.every_metric.items()}

# A pool that is rewritten is read as the unsafe pairs that it is made of.
REWRITTEN = [name for name, pool in study.pools.items() if pool.rewrite]
DATASETS = {
    **{f"{'unsafe' if pool.rewrite else 'pools'}/{name}": ("pool", pool) for name, pool in study.pools.items()},
    **{f"benchmarks/{name}": ("benchmark", data) for name, data in study.benchmarks.items()},
    "base": ("base", study.base),
    **{f"tasks/{name}": ("base", data) for name, data in study.tasks.items()},
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
    judge="|".join(study.judges),
    pairwise="|".join(study.pairwise) or "-",
    source="|".join(study.sources) or "-",
    family="llama|qwen2|mistral",
    name=r"[a-z0-9-]+",
