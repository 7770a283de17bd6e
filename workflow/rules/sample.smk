"""Subsets: the ranked ids that a sampler picks from a pool.

Inputs: the pool and the features that the sampler says it NEEDS, nothing else.
Outputs: subsets/<pool>/<sampler>/n<n>/t<trial>.csv (rank, id, category); below subsets/<model>/ where the sampler reads
what a model says of the pool, else models share them. <sampler> is a method's name where that gives it other options.
Costs: a CPU second each. A sampler's code is a param, so an edit re-runs its own subsets.
"""


rule sample:
    input:
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        features=lambda wildcards: list(sampler_features(wildcards).values()),
        accepted=ancient(ACCEPTED),
    output:
        subset=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
    log:
        f"{RESULTS}/logs/sample/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        seed=lambda wildcards: seed(study.seed, "sampling", wildcards.trial),
        options=sampler_options,
        features=lambda wildcards: options(sampler_features(wildcards)),
        sampler=lambda wildcards: picker(wildcards.sampler).sampler,
        among=lambda wildcards: options({"among": picker(wildcards.sampler).among}),
        code=lambda wildcards: code_identity("sample", f"samplers/{picker(wildcards.sampler).sampler}"),
    message:
        "Pick {wildcards.n} of {wildcards.pool} with {wildcards.sampler}, trial {wildcards.trial}"
    shell:
        "stage sample --record {params.code} {output:q} --"
        " --sampler {params.sampler} {params.among} --n {wildcards.n} --seed {params.seed}"
        " --options {params.options:q} --pool {input.pool:q} {params.features} --out {output.subset:q} &> {log:q}"


use rule sample as sample_by_model with:
    output:
        subset=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
    log:
        f"{RESULTS}/logs/sample/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    message:
        "Pick {wildcards.n} of {wildcards.pool} with {wildcards.sampler} for {wildcards.model}, trial {wildcards.trial}"
