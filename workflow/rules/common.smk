"""Load the checked study, and define its jobs' inputs and options and all that rules share."""

import json
import os
import re
import sys
from functools import partial

from ballast import categories
from ballast.files import STAMP, BallastError, read_text
from ballast.running import stops
from ballast.running.bill_options import BillOptions
from ballast.running.failures import FAILED
from ballast.running.inside_snakemake import IMAGE, InsideSnakemake, changes
from ballast.study import artefacts, contracts, requirements, sources
from ballast.study import config as study_config
from ballast.study.arguments import as_arguments, as_json, as_pairs, packed
from ballast.study.card_options import CardOptions
from ballast.study.document_options import DocumentOptions
from ballast.study.job_inputs import JobInputs
from ballast.study.job_options import JobOptions
from ballast.study.gradient_documents import GradientDocuments
from ballast.study.log_options import LogOptions
from ballast.study.module_config import of_module
from ballast.study.people_options import PeopleOptions
from ballast.study.place_inputs import JUDGE_FILES, MODEL_FILES
from ballast.study.plan import Plan

try:
    contracts.check()
    if workflow.modifier.is_main_snakefile():
        raw = study_config.given(workflow.configfiles, changes(workflow))
    else:
        raw = of_module(config)
    study = study_config.load(raw)
    inside = InsideSnakemake(workflow)
    plan = Plan(study, inside.results())
    sources.check(study, os.path.dirname(plan.results))
    artefacts.check(study)
    inputs = JobInputs(plan)
    options = JobOptions(inputs)
    documents = DocumentOptions(options)
except BallastError as error:
    sys.exit(f"ballast: {error}")

if workflow.is_main_process:
    stops.handle()

cards = CardOptions(options)
people = PeopleOptions(plan)
logs = LogOptions(documents, cards)
gradient_documents = GradientDocuments(documents)
bill = BillOptions(documents, inside.groups, inside.command())
inside.take_gpus(requirements.gpus(plan))
code_identity = inside.code_identities(study.own_categories and categories.read(study.own_categories))

RESULTS, WORLD = plan.results, plan.world
FOLDERS = [RESULTS, *([WORLD] if plan.in_world else [])]
RUN = f"{RESULTS}/runs/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}"

shell = inside.shell(study.own_categories)

inside.close_dry_run(FOLDERS)


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
