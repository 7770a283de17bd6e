"""What is said of each row of a pool: behaviour, category, embedding.

Inputs: data/pools/<pool>.parquet, the judge or labeller, the sentence encoder.
Outputs: labels/<pool>/behaviour.parquet, labels/<pool>/category.parquet, embeddings/<pool>.parquet.
Costs: one pass of a 7B judge over the pool (GPU minutes for the paper's 2,483 rows); embedding is CPU seconds.
"""


def category_inputs(wildcards):
    """What the category labeller reads: a model and its template, or the references and embeddings."""
    if study.labels.category == "llm":
        return {"model": model_files(study.labels.category_model), "template": study.labels.category_template}
    return {
        "embedding": f"{RESULTS}/embeddings/pools/{wildcards.pool}.parquet",
        "references": f"{RESULTS}/data/references.parquet",
        "reference_embedding": f"{RESULTS}/embeddings/references.parquet",
    }


def category_options(wildcards):
    if study.labels.category == "llm":
        model = {"model": model_folder(study.labels.category_model), "template": study.labels.category_template}
        return as_json(model | {"batch_size": study.labels.batch_size, "max_length": 4096})
    return "{}"


def category_files(wildcards):
    files = category_inputs(wildcards) if study.labels.category == "cossim" else {}
    return options({name.replace("_", "-"): path for name, path in files.items()})


rule behaviour:
    input:
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        judge=judge_files(study.labels.behaviour),
    output:
        labels=f"{RESULTS}/labels/{{pool}}/behaviour.parquet",
    log:
        f"{RESULTS}/logs/behaviour/{{pool}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/behaviour/{{pool}}.jsonl"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        judge=study.labels.behaviour,
        options=judge_options(study.labels.behaviour),
        canaries=canaries_option(study.labels.behaviour),
        code=code_identity("behaviour", f"judges/{study.labels.behaviour}"),
    message:
        "Label the behaviour of pool {wildcards.pool}"
    shell:
        "{STAGE} behaviour --pool {input.pool:q} --judge {params.judge} --options {params.options:q}"
        " {params.canaries} --out {output.labels:q} &> {log:q}"


rule category:
    input:
        unpack(category_inputs),
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
    output:
        labels=f"{RESULTS}/labels/{{pool}}/category.parquet",
    log:
        f"{RESULTS}/logs/category/{{pool}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/category/{{pool}}.jsonl"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        labeller=study.labels.category,
        options=category_options,
        files=category_files,
        code=code_identity("category"),
    message:
        "Label the categories of pool {wildcards.pool}"
    shell:
        "{STAGE} category --labeller {params.labeller} --pool {input.pool:q} --options {params.options:q}"
        " {params.files} --out {output.labels:q} &> {log:q}"


rule embed:
    input:
        pairs=f"{RESULTS}/data/{{dataset}}.parquet",
        model=[] if study.embedding.model == "minilm" else sources.model_files(study.embedding.model),
    output:
        embedding=f"{RESULTS}/embeddings/{{dataset}}.parquet",
    log:
        f"{RESULTS}/logs/embed/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embed/{{dataset}}.jsonl"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        model=study.embedding.model,
        batch_size=study.embedding.batch_size,
        code=code_identity("embed"),
    message:
        "Embed {wildcards.dataset}"
    shell:
        "{STAGE} embed --pairs {input.pairs:q} --model {params.model:q} --batch-size {params.batch_size}"
        " --out {output.embedding:q} &> {log:q}"
