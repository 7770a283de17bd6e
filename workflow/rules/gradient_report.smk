"""The gradient report: what gradients say of the pool's rows, beside what runs with such rows were measured to do.

Inputs: scores.parquet; labels, gradients and log-probabilities of the pool, gradients of base data; subsets of samplers.
Outputs: gradients.{md,csv}, figures/gradients.{pdf,svg,png,csv}.
Costs: the features of gradients.smk for one model and pool, then CPU seconds. Not part of `all`: `snakemake
gradient_report`. It shows the model and pool of the experiments `behaviour` and `sampling`; a study needs one of them.
"""


rule gradient_report:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        features=lambda wildcards: list(report_features().values()),
        subsets=lambda wildcards: [file for *_, files in report_subsets() for file in files],
    output:
        md=f"{RESULTS}/gradients.md",
        csv=f"{RESULTS}/gradients.csv",
        pdf=f"{RESULTS}/figures/gradients.pdf",
        svg=f"{RESULTS}/figures/gradients.svg",
        png=f"{RESULTS}/figures/gradients.png",
        data=f"{RESULTS}/figures/gradients.csv",
    log:
        f"{RESULTS}/logs/gradient_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/gradient_report.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: artefact_options("gradients", report_experiment()),
        picked=lambda wildcards: json.dumps(report_subsets()),
        features=lambda wildcards: options(report_features()),
        code=code_identity("gradient_report"),
    message:
        "Lay gradients beside what was measured"
    shell:
        "stage gradient_report --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --picked {params.picked:q} {params.features}"
        " --out-md {output.md:q} --out-csv {output.csv:q} --out-pdf {output.pdf:q} --out-svg {output.svg:q}"
        " --out-png {output.png:q} --out-data {output.data:q} &> {log:q}"
