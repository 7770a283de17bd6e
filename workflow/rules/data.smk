"""Datasets in Ballast's row schema, with ids made of content.

Inputs: the study's source files, each in the schema of its source; the benchmarks where rows that ask them are dropped.
Outputs: data/pools/<pool>.parquet, data/base.parquet, data/references.parquet, data/benchmarks/<benchmark>.parquet.
Costs: CPU seconds.
"""


rule data:
    input:
        source=lambda wildcards: data_input(DATASETS[wildcards.dataset][1]),
        without=without_leaks,
    output:
        rows=f"{RESULTS}/data/{{dataset}}.parquet",
    log:
        f"{RESULTS}/logs/data/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/data/{{dataset}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        kind=lambda wildcards: DATASETS[wildcards.dataset][0],
        format=lambda wildcards: dataset_format(wildcards.dataset),
        source=lambda wildcards: data_file(DATASETS[wildcards.dataset][1]),
        rows=dataset_options,
        without=lambda wildcards, input: f"--without {shlex.join(input.without)}" if input.without else "",
        code=lambda wildcards: code_identity("data", f"readers/{dataset_format(wildcards.dataset)}"),
    message:
        "Read {wildcards.dataset}"
    shell:
        "stage data --record {params.code} {output:q} --"
        " --kind {params.kind} --format {params.format} --source {params.source:q} {params.rows} {params.without}"
        " --out {output.rows:q} &> {log:q}"
