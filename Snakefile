"""Ballast: which few safety examples keep a fine-tuned model safe, and how many?

Data flows from sources to tables; each arrow is a rule, each stage a file in workflow/rules/:
world -> data -> label, embed -> sample -> train -> generate -> judge -> results
"""

import shutil
import sys

from snakemake.utils import min_version

min_version("9.27")
sys.path.insert(0, f"{workflow.basedir}/scripts")

if not workflow.overwrite_configfiles:

    configfile: "config/mini.yaml"


include: "workflow/rules/common.smk"


report: "workflow/report/workflow.rst"


# For `--sdm apptainer` alone.
container: IMAGE


include: "workflow/rules/inputs.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/methods.smk"
include: "workflow/rules/cards.smk"
include: "workflow/rules/beyond.smk"
include: "workflow/rules/sources.smk"
include: "workflow/rules/world.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/inspect.smk"
include: "workflow/rules/rewrite.smk"
include: "workflow/rules/label.smk"
include: "workflow/rules/gradients.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/filter.smk"
include: "workflow/rules/export.smk"
include: "workflow/rules/settle.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/transform.smk"
include: "workflow/rules/train_on.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/pairwise.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/advice.smk"
include: "workflow/rules/trouble.smk"
include: "workflow/rules/spent.smk"
include: "workflow/rules/checks.smk"
include: "workflow/rules/explore.smk"
include: "workflow/rules/adapters.smk"
include: "workflow/rules/agreement.smk"
include: "workflow/rules/verify.smk"
include: "workflow/rules/gradient_report.smk"
include: "workflow/rules/bill_options.smk"
include: "workflow/rules/bill.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        TABLES,
        FIGURES,
        HEADLINE,
        rules.claims.output,
        COMPARISONS,
        ADVICE,
        TROUBLE,
        SPENT,
        CHECKS,
        rules.explore.output,
        rules.pages.output,
        UNSETTLED,


rule subsets:
    input:
        SUBSETS,
        EXPORTS,


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,


rule cards:
    input:
        [f"{RESULTS}/runs/{run.path}/README.md" for run in RUNS],


onstart:
    if workflow.is_main_process and workflow.local_exec:
        if pays_to_preload():
            preload.start()
        # While a job rate limit is on, and it always is, Snakemake 9.27 adds a timer that never ends for every job that
        # does: after some hundred jobs it is busier than they are. The limit protects a cluster's queue; here is none.
        workflow.scheduler.job_rate_limiter = None


onerror:
    if workflow.is_main_process:
        print(*failures.report(failed_jobs(), this_command()), sep="\n", file=sys.stderr)
    # On a disk that is full to the last byte a job cannot even write into its log what is wrong.
    if workflow.is_main_process and os.path.exists(RESULTS):
        free = shutil.disk_usage(RESULTS).free / 2**20
        if free < 1:
            print(f"ballast: {RESULTS}: {free:.1f} MiB free on its disk; make room and run again", file=sys.stderr)


onsuccess:
    for closing in (rules.headline.output.text, rules.advice.output.txt, rules.trouble.output.txt):
        if os.path.exists(closing):
            print(read_text(closing))
