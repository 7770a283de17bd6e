"""Subsets as people use them: `snakemake subsets`, no part of the default target.

Inputs: a subset, the pool, its file as it came, the labels that the study's samplers read, the pool's embedding.
Outputs: subsets/<pool>/<sampler>/n<n>/t<trial>/{subset.jsonl,ids.csv,README.md,dataset_info.json,pool.png,pool.svg}.
Costs: CPU seconds each, and reading the pool's file.
"""


def pool_source(pool):
    """The pool's file as it came; none where the study made the rows."""
    return None if pool in REWRITTEN else study.pools[pool]


def pool_labels(wildcards):
    """The labels that the study makes of this pool."""
    files = {name: f"{RESULTS}/labels/{wildcards.pool}/{name}.parquet" for name in ("behaviour", "category")}
    return {name: file for name, file in files.items() if wildcards.pool in needing(name)}


def export_options(wildcards):
    """What the card and the picture say of a subset beside what stands in its files."""
    data, method = study.pools[wildcards.pool], picker(wildcards.sampler)
    source = study.sources[data.source] if data.source else None
    home = f"{source.hub or source.github}, revision {source.revision}" if source else data_file(data)
    labels, notes = pool_labels(wildcards), []
    if "behaviour" in labels:
        notes += stand_ins([study.labels.behaviour]).values()
    if "category" in labels and study.labels.category == "cossim":
        notes.append("Harm categories are those of the nearest reference set (cossim), not a language model's.")
    if data.world:
        notes.append("The pool is made, in a language of its own.")
    about = [
        ("study", study.study),
        ("pool", f"{wildcards.pool}: {home}" + (", its responses rewritten" if data.rewrite else "")),
        ("licence of the pool", source.licence if source else data.licence or "not stated"),
        ("rule", f"sampler {method.sampler}, n = {wildcards.n}, trial {wildcards.trial}"),
        ("seed", str(seed(study.seed, "sampling", wildcards.trial))),
        ("options", sampler_options(wildcards)),
        ("behaviour by", study.labels.behaviour if "behaviour" in labels else "not labelled"),
        ("category by", study.labels.category if "category" in labels else "not labelled"),
        ("embedded by", study.embedding.model),
    ]
    name = "-".join([study.study, *wildcards.get("model", "").split(), wildcards.sampler, wildcards.n, wildcards.trial])
    own = pool_source(wildcards.pool)
    return as_json(
        {
            "study": study.study,
            "pool": wildcards.pool,
            "sampler": wildcards.sampler,
            "plugin": method.sampler,
            "name": name,
            "licence": dict(about)["licence of the pool"],
            "about": about,
            "notes": notes,
            "format": own and dataset_format(f"pools/{wildcards.pool}"),
            "columns": own.columns if own else {},
        }
    )


def exported(folder):
    return {
        name.replace(".", "_").lower(): f"{RESULTS}/subsets/{folder}{{pool}}/{{sampler}}/n{{n}}/t{{trial}}/{name}"
        for name in EXPORTED
    }


EXPORTED = ("subset.jsonl", "ids.csv", "README.md", "dataset_info.json", "pool.png", "pool.svg")
EXPORTS = [f"{stem[:-4]}/{name}" for stem in SUBSETS if "/n0/" not in stem for name in EXPORTED]


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
