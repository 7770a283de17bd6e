"""Sources: datasets, models and prompt templates from outside, at pinned revisions.

Inputs: none, or the copy on this machine that `sources.<name>.local` names.
Outputs: sources/<name>/source.json, which holds every file's SHA-256 and stands for the files beside it.
Costs: downloads (once a machine: the hub's cache is shared), and reading every byte for its digest.
"""


rule fetch:
    input:
        local=source_local,
    output:
        manifest=f"{RESULTS}/sources/{{source}}/source.json",
    log:
        f"{RESULTS}/logs/fetch/{{source}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch/{{source}}.jsonl"
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        source=lambda wildcards: as_json(
            study.sources[wildcards.source].model_dump(exclude={"used_for", "gigabytes", "format"})
        ),
        unpinned="--allow-unpinned" if study.allow_unpinned else "",
        out=subpath(output.manifest, parent=True),
        code=code_identity("fetch"),
    message:
        "Fetch {wildcards.source}"
    shell:
        "stage fetch --record {params.code} {output:q} --"
        " --name {wildcards.source} --source {params.source:q} {params.unpinned} --out {params.out:q}"
        " &> {log:q}"


# No output and no benchmark file: it looks anew each time it is asked.
rule doctor:
    log:
        f"{RESULTS}/logs/doctor.log",
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        options=as_json(
            {
                "sources": {name: study.sources[name].model_dump() for name in sources.used(study)},
                "allow_unpinned": study.allow_unpinned,
                "backends": sorted(BACKENDS),
                "load_in_8bit": study.training.load_in_8bit,
                "keys": study.keys,
                "results": RESULTS,
                "runs": len(MEASURED),
            }
        ),
        code=code_identity("doctor"),
    message:
        "See whether this machine can run the study"
    shell:
        "stage doctor --options {params.options:q} 2> >(tee {log:q} >&2)"
