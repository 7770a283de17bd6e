"""Subsets as people use them: `snakemake subsets`, no part of the default target.

Inputs: a subset, the pool, its file as it came, the labels that the study's samplers read, the pool's embedding.
Outputs: subsets/<pool>/<sampler>/n<n>/t<trial>/{subset.jsonl,ids.csv,README.md,dataset_info.json,pool.png,pool.svg}.
Costs: CPU seconds each, and reading the pool's file.
"""


rule plane:
    input:
        embedding=f"{RESULTS}/embeddings/pools/{{pool}}.arrow",
    output:
        plane=f"{RESULTS}/embeddings/planes/{{pool}}.parquet",
    log:
        f"{RESULTS}/logs/plane/{{pool}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/plane/{{pool}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_identity("plane"),
    message:
        "Put pool {wildcards.pool} into a plane"
    shell:
        "stage plane --record {params.code} {output:q} --"
        " --embedding {input.embedding:q} --out {output.plane:q} &> {log:q}"


rule export:
    input:
        unpack(pool_labels),
        subset=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        plane=f"{RESULTS}/embeddings/planes/{{pool}}.parquet",
        source=lambda wildcards: data_input(source) if (source := pool_source(wildcards.pool)) else [],
    output:
        **exported(""),
    log:
        f"{RESULTS}/logs/export/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        options=export_options,
        files=lambda wildcards: options(
            pool_labels(wildcards) | {"source": data_file(source) if (source := pool_source(wildcards.pool)) else None}
        ),
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=lambda wildcards: code_identity("export", f"samplers/{picker(wildcards.sampler).sampler}"),
    message:
        "Write out {wildcards.n} of {wildcards.pool} by {wildcards.sampler}, trial {wildcards.trial}"
    shell:
        "stage export --record {params.code} {output:q} --"
        " --options {params.options:q} --subset {input.subset:q} --pool {input.pool:q} --plane {input.plane:q}"
        " {params.files} --out {params.out:q} &> {log:q}"


use rule export as export_by_model with:
    input:
        unpack(pool_labels),
        subset=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        plane=f"{RESULTS}/embeddings/planes/{{pool}}.parquet",
        source=lambda wildcards: data_input(source) if (source := pool_source(wildcards.pool)) else [],
    output:
        **exported("{model}/"),
    log:
        f"{RESULTS}/logs/export/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/export/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
