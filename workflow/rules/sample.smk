"""Pick subsets: the ranked ids that a sampler takes from a pool; on request write them out for use elsewhere.

Inputs: the pool and the features that the sampler NEEDS, nothing else. An export reads the pool's own file too. A pool
with `requests_of` has the requests of that pool's subsets: `swap` reads both pools and one subset.
Outputs: subsets/<pool>/<sampler>/n<n>/t<trial>.csv (rank, id, category), and t<trial>.parquet, the picked rows: training
reads them and not the pool. Models share a subset; it lies below subsets/<model>/ if the sampler reads a feature that
the model makes. <sampler> is a method's name if the method gives its sampler other options. `snakemake subsets`:
subsets/<pool>/<sampler>/n<n>/t<trial>/{subset.jsonl,ids.csv,README.md,dataset_info.json,pool.png,pool.svg}.
Costs: a CPU second each. A sampler's code is a param, so an edit re-runs its own subsets.
"""


rule sample:
    input:
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        features=lambda wildcards: list(inputs.sampler_features(wildcards).values()),
        accepted=ancient(ACCEPTED),
    output:
        subset=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        rows=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.parquet",
    log:
        f"{RESULTS}/logs/sample/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        seed=lambda wildcards: options.seed("sampling", wildcards.trial),
        options=options.sampler,
        features=options.sampler_features,
        sampler=lambda wildcards: plan.picker(wildcards.sampler).sampler,
        among=options.among,
        code=lambda wildcards: code_identity("sample", f"samplers/{plan.picker(wildcards.sampler).sampler}"),
    message:
        "Pick {wildcards.n} of {wildcards.pool} with {wildcards.sampler}, trial {wildcards.trial}"
    shell:
        "stage sample --record {params.code} {output:q} --"
        " --sampler {params.sampler} {params.among} --n {wildcards.n} --seed {params.seed}"
        " --options {params.options:q} --pool {input.pool:q} {params.features}"
        " --out {output.subset:q} --out-rows {output.rows:q} &> {log:q}"


use rule sample as sample_by_model with:
    output:
        subset=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        rows=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.parquet",
    log:
        f"{RESULTS}/logs/sample/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    message:
        "Pick {wildcards.n} of {wildcards.pool} with {wildcards.sampler} for {wildcards.model}, trial {wildcards.trial}"


rule swap:
    input:
        subset=inputs.swapped_subset,
        picked_from=lambda wildcards: inputs.rows(f"pools/{study.pools[wildcards.pool].requests_of}"),
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
    output:
        subset=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        rows=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.parquet",
    log:
        f"{RESULTS}/logs/swap/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    wildcard_constraints:
        pool="|".join(plan.swapped) or "-",
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        code=code_identity("swap"),
    message:
        "Take the requests of {wildcards.sampler}, n {wildcards.n}, trial {wildcards.trial}, from {wildcards.pool}"
    shell:
        "stage swap --record {params.code} {output:q} --"
        " --subset {input.subset:q} --picked-from {input.picked_from:q} --pool {input.pool:q}"
        " --out {output.subset:q} --out-rows {output.rows:q} &> {log:q}"


use rule swap as swap_by_model with:
    output:
        subset=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        rows=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.parquet",
    log:
        f"{RESULTS}/logs/swap/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",


ruleorder: swap > sample
ruleorder: swap_by_model > sample_by_model


rule plane:
    input:
        embedding=f"{RESULTS}/embeddings/pools/{{pool}}.arrow",
    output:
        plane=f"{RESULTS}/embeddings/planes/{{pool}}.parquet",
    log:
        f"{RESULTS}/logs/plane/{{pool}}.log",
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
        unpack(inputs.pool_labels),
        subset=f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        plane=f"{RESULTS}/embeddings/planes/{{pool}}.parquet",
        source=lambda wildcards: inputs.data_input(data) if (data := inputs.pool_source(wildcards.pool)) else [],
        counts=lambda wildcards: inputs.pool_counts(wildcards) or [],
    output:
        **cards.exported(f"{RESULTS}/subsets/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}"),
    log:
        f"{RESULTS}/logs/export/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        options=cards.export,
        files=cards.exported_from,
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=lambda wildcards: code_identity("export", f"samplers/{plan.picker(wildcards.sampler).sampler}"),
    message:
        "Write out {wildcards.n} of {wildcards.pool} by {wildcards.sampler}, trial {wildcards.trial}"
    shell:
        "stage export --record {params.code} {output:q} --"
        " --options {params.options:q} --subset {input.subset:q} --pool {input.pool:q} --plane {input.plane:q}"
        " {params.files} --out {params.out:q} &> {log:q}"


use rule export as export_by_model with:
    input:
        unpack(inputs.pool_labels),
        subset=f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        plane=f"{RESULTS}/embeddings/planes/{{pool}}.parquet",
        source=lambda wildcards: inputs.data_input(data) if (data := inputs.pool_source(wildcards.pool)) else [],
        counts=lambda wildcards: inputs.pool_counts(wildcards) or [],
    output:
        **cards.exported(f"{RESULTS}/subsets/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}"),
    log:
        f"{RESULTS}/logs/export/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
