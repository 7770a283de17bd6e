"""Ballast: which few safety examples keep a fine-tuned model safe, and how many?

Data flows from sources to tables. Each stage is a file in workflow/rules/, included below in the order of the flow.
"""

import sys

sys.path.insert(0, f"{workflow.basedir}/scripts")

if not workflow.overwrite_configfiles:

    configfile: "config/mini.yaml"


include: "workflow/rules/common.smk"


report: "workflow/report/workflow.rst"


# Used only with `--sdm apptainer`.
container: IMAGE


include: "workflow/rules/sources.smk"
include: "workflow/rules/world.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/rewrite.smk"
include: "workflow/rules/label.smk"
include: "workflow/rules/gradients.smk"
include: "workflow/rules/sample.smk"
include: "workflow/rules/settle.smk"
include: "workflow/rules/align.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/adapters.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/results.smk"
include: "workflow/rules/claims.smk"
include: "workflow/rules/advice.smk"
include: "workflow/rules/checks.smk"
include: "workflow/rules/people.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/measure.smk"
include: "workflow/rules/operate.smk"


rule all:
    default_target: True
    input:
        lambda wildcards: inside.or_exit(documents.check),
        TABLES,
        FIGURES,
        HEADLINE,
        rules.claims.output,
        documents.comparisons,
        ADVICE,
        TROUBLE,
        SPENT,
        CHECKS,
        MEASURED,
        rules.explore.output,
        rules.pages.output,
        UNSETTLED,


rule subsets:
    input:
        plan.subsets,
        cards.exports,


rule tables:
    input:
        lambda wildcards: inside.or_exit(documents.check),
        TABLES,


rule figures:
    input:
        lambda wildcards: inside.or_exit(documents.check),
        FIGURES,


rule measure:
    input:
        MEASURED,
        # With experiments, explore.html would train all their runs.
        [] if plan.runs else rules.explore.output,


rule cards:
    input:
        [f"{plan.folder(run)}/README.md" for run in plan.runs],


rule annotation_sheet:
    input:
        rules.pool_sheet.output if plan.pool else [],
        rules.response_sheet.output if people.metrics else [],


rule agreement:
    input:
        rules.label_agreement.output if people.compares_labels else [],
        rules.people.output if study.labels.response_annotations else [],


onstart:
    inside.start(plan.packages)


onerror:
    inside.report_failures(RESULTS)


onsuccess:
    for closing in (rules.headline.output.text, rules.advice.output.txt, rules.trouble.output.txt):
        if os.path.exists(closing):
            print(read_text(closing))
