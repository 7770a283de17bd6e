"""What is said of each row of a pool: behaviour, category, embedding.

Inputs: data/pools/<pool>.parquet, the judge or labeller, the sentence encoder.
Outputs: labels/<pool>/behaviour.parquet, labels/<pool>/category.parquet, embeddings/pools/<pool>.arrow (Arrow IPC, float16).
Costs: one pass of a 7B judge over the pool (GPU minutes for the paper's 2,483 rows); embedding is CPU seconds.
"""


rule behaviour:
    input:
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        judge=lambda wildcards: judge_files(labeller(wildcards.pool)),
        accepted=ancient(ACCEPTED),
    output:
        labels=f"{RESULTS}/labels/{{pool}}/behaviour.parquet",
    log:
        f"{RESULTS}/logs/behaviour/{{pool}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/behaviour/{{pool}}.jsonl"
    conda:
        MODEL_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        judge=lambda wildcards: labeller(wildcards.pool),
        options=lambda wildcards: judge_options(labeller(wildcards.pool)),
        canaries=lambda wildcards: canaries_option(labeller(wildcards.pool)),
        store=f"{RESULTS}/store",
        code=lambda wildcards: judge_code("behaviour", labeller(wildcards.pool)),
    message:
        "Label the behaviour of pool {wildcards.pool}"
    shell:
        "stage behaviour --record {params.code} {output:q} --"
        " --pool {input.pool:q} --judge {params.judge} --options {params.options:q}"
        " {params.canaries} --store {params.store:q} --out {output.labels:q} &> {log:q}"


rule category:
    input:
        unpack(category_inputs),
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        accepted=ancient(ACCEPTED),
    output:
        labels=f"{RESULTS}/labels/{{pool}}/category.parquet",
    log:
        f"{RESULTS}/logs/category/{{pool}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/category/{{pool}}.jsonl"
    conda:
        MODEL_ENV
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        labeller=study.labels.category,
        options=category_options,
        files=category_files,
        store=f"{RESULTS}/store",
        code=category_code(),
    message:
        "Label the categories of pool {wildcards.pool}"
    shell:
        "stage category --record {params.code} {output:q} --"
        " --labeller {params.labeller} --pool {input.pool:q} --options {params.options:q}"
        " {params.files} --store {params.store:q} --out {output.labels:q} &> {log:q}"


rule embed:
    input:
        pairs=f"{RESULTS}/data/{{dataset}}.parquet",
        model=embedding_files(),
    output:
        embedding=f"{RESULTS}/embeddings/{{dataset}}.arrow",
    log:
        f"{RESULTS}/logs/embed/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{dataset}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        model=embedding_model(),
        batch_size=study.embedding.batch_size,
        code=code_identity("embed"),
    message:
        "Embed {wildcards.dataset}"
    shell:
        "stage embed --record {params.code} {output:q} --"
        " --pairs {input.pairs:q} --model {params.model:q} --batch-size {params.batch_size}"
        " --out {output.embedding:q} &> {log:q}"
