"""Go beyond the paper: write its next checks, the CPU seconds of each method, and the gradient report.

Inputs: scores.parquet; labels and subsets of pools that hold the same rows and have different judges; logs of jobs;
for the gradient report labels, gradients and log-probabilities of the pool, gradients of base data, and subsets; with
the experiment `swapping` the same of both its pools, and their rows.
Outputs: checks.md, with the experiment `checks` or `relabelling`, or with two judges of one benchmark; spent.{md,csv},
with the experiment `beyond`; on request gradients.{md,csv}, figures/gradients.{pdf,svg,png,csv}.
Costs: CPU seconds, after the features of gradients.smk. The logs are no rule's input: they are measurements, which
differ between runs of the study.
"""


rule checks:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        labels=list(documents.relabelled.values()),
        subsets=[file for *_, file in documents.relabelled_subsets],
    output:
        md=f"{RESULTS}/checks.md",
    log:
        f"{RESULTS}/logs/checks.log",
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: documents.checks(),
        labels=as_pairs(documents.relabelled),
        code=code_identity("checks"),
    message:
        "Write what the checks beyond the paper show"
    shell:
        "stage checks --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --labels {params.labels} --out {output.md:q} &> {log:q}"


CHECKS = rules.checks.output if documents.checked else []


rule spent:
    input:
        settled,
        lambda wildcards: [f"{plan.folder(run)}/{inputs.run_files[0]}" for run in documents.beyond_runs],
    output:
        md=f"{RESULTS}/spent.md",
        csv=f"{RESULTS}/spent.csv",
    log:
        f"{RESULTS}/logs/spent.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=lambda wildcards: documents.artefact("spent"),
        logs=lambda wildcards: documents.spent_logs(),
        code=code_identity("spent"),
    message:
        "Say how many CPU seconds each method took"
    shell:
        "stage spent --record {params.code} {output:q} --"
        " --options {params.options:q} --logs {params.logs:q} --out-md {output.md:q} --out-csv {output.csv:q}"
        " &> {log:q}"


SPENT = rules.spent.output.md if documents.available("spent") else []


rule gradient_report:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        features=lambda wildcards: list(gradient_documents.features().values()),
        subsets=lambda wildcards: [file for *_, files in gradient_documents.subsets() for file in files],
        swapping=gradient_documents.swapping_inputs,
    output:
        md=f"{RESULTS}/gradients.md",
        csv=f"{RESULTS}/gradients.csv",
        pdf=f"{RESULTS}/figures/gradients.pdf",
        svg=f"{RESULTS}/figures/gradients.svg",
        png=f"{RESULTS}/figures/gradients.png",
        data=f"{RESULTS}/figures/gradients.csv",
    log:
        f"{RESULTS}/logs/gradient_report.log",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: gradient_documents.options(),
        picked=lambda wildcards: packed(json.dumps(gradient_documents.subsets())),
        features=lambda wildcards: as_arguments(gradient_documents.features()),
        swapping=lambda wildcards: gradient_documents.swapping(),
        code=code_identity("gradient_report"),
    message:
        "Lay gradients beside what was measured"
    shell:
        "stage gradient_report --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --picked {params.picked:q} {params.features}"
        " {params.swapping}"
        " --out-md {output.md:q} --out-csv {output.csv:q} --out-pdf {output.pdf:q} --out-svg {output.svg:q}"
        " --out-png {output.png:q} --out-data {output.data:q} &> {log:q}"
