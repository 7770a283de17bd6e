"""Kept base data: what a method's filter leaves of the base data.

Inputs: the model, data/base.parquet; the subset and the features that the filter says it reads.
Outputs: kept/<model>/<pool>/<method>/n<n>/t<trial>.csv (id, score, kept), a row for each of the base data; n and trial
are 0 where the filter does not depend on them, so that runs share what is the same.
Costs: a forward over the base data (saft), or a training run (seal).
"""


rule filter:
    input:
        model=lambda wildcards: model_inputs(study.models[wildcards.model]),
        base=f"{RESULTS}/data/base.parquet",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        subset=filter_subset,
        features=plugin_features("filter"),
    output:
        kept=f"{RESULTS}/kept/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
    log:
        f"{RESULTS}/logs/filter/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/filter/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1500,
        runtime=240,
    params:
        model=lambda wildcards: model_folder(study.models[wildcards.model]),
        filter=lambda wildcards: method(wildcards.sampler).filter,
        seed=lambda wildcards: seed(study.seed, "training", wildcards.trial),
        options=filter_options,
        subset=lambda wildcards, input: options({"subset": input.subset}),
        features=plugin_feature_options("filter"),
        code=lambda wildcards: code_identity("filter", f"filters/{method(wildcards.sampler).filter}"),
    message:
        "Filter base data for {wildcards.model} by {wildcards.sampler}"
    shell:
        "stage filter --record {params.code} {output:q} --"
        " --filter {params.filter} --model {params.model:q} --base {input.base:q} --pool {input.pool:q}"
        " {params.subset} {params.features} --seed {params.seed} --options {params.options:q}"
        " --out {output.kept:q} &> {log:q}"
