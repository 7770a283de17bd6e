"""Load the checked study, and define its jobs' inputs and options and all that rules share."""

import functools
import json
import os
import re
import sys

from ballast import categories, identity
from ballast.files import BallastError, read_text
from ballast.running.bill_options import BillOptions
from ballast.running.inside_snakemake import IMAGE, InsideSnakemake
from ballast.study import artefacts, contracts, sources
from ballast.study import config as study_config
from ballast.study.arguments import as_arguments, as_json, as_pairs, packed
from ballast.study.card_options import CardOptions
from ballast.study.document_options import DocumentOptions
from ballast.study.job_inputs import JUDGE_FILES, MODEL_FILES, JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.gradient_documents import GradientDocuments
from ballast.study.people_options import PeopleOptions
from ballast.study.plan import Plan

try:
    contracts.check()
    study = study_config.load(study_config.given(workflow.configfiles, workflow.config_settings.config))
    sources.check(study)
    artefacts.check(study)
    inside = InsideSnakemake(workflow)
    plan = Plan(study)
    inputs = JobInputs(plan)
    options = JobOptions(inputs)
    documents = DocumentOptions(options)
except BallastError as error:
    sys.exit(f"ballast: {error}")

cards = CardOptions(options)
people = PeopleOptions(plan)
gradient_documents = GradientDocuments(documents)
bill = BillOptions(documents, inside.groups, inside.command())
inside.take_gpus(plan.gpus)
# Every job asks for it, and the code does not change between jobs.
own_taxonomy = study.own_categories and categories.read(study.own_categories)
code_identity = functools.cache(functools.partial(identity.code_identity, taxonomy=own_taxonomy))

RESULTS, WORLD = plan.results, plan.world
RUN = f"{RESULTS}/runs/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}"
# Stages that run models on text need vLLM's environment if a backend of the study is vLLM.
MODEL_ENV = f"../../envs/{'vllm' if 'vllm' in plan.backends else 'ballast'}.yaml"

shell.prefix(inside.shell_prefix(study.own_categories))


wildcard_constraints:
    dataset="|".join(plan.datasets),
    pool="|".join(study.pools) or "-",
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
