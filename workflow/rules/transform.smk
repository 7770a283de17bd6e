"""Transformed adapters: what a method makes of the adapter that another method trained.

Inputs: the other run's adapter and training log, the model; the model that it was aligned from where the transform asks.
Outputs: runs/<run>/adapter_{model.safetensors,config.json}, training.json (the other run's, and what was transformed).
Costs: CPU minutes for a 7B model; no training.
"""


rule transform:
    input:
        settled,
        adapter=lambda wildcards: [
            f"{source_adapter(wildcards)}/{file}" for file in ("adapter_model.safetensors", "adapter_config.json")
        ],
        training=lambda wildcards: f"{source_adapter(wildcards)}/training.json",
        model=lambda wildcards: model_files(study.models[wildcards.model]),
        pretrained=lambda wildcards: model_files(pretrained(wildcards)) if pretrained(wildcards) else [],
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
    log:
        f"{RESULTS}/logs/transform/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/transform/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    wildcard_constraints:
        sampler="|".join(TRANSFORMED) or "-",
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        transform=lambda wildcards: method(wildcards.sampler).transform,
        source=source_adapter,
        model=lambda wildcards: model_folder(study.models[wildcards.model]),
        pretrained=lambda wildcards: options(
            {"pretrained": pretrained(wildcards) and model_folder(pretrained(wildcards))}
        ),
        options=lambda wildcards: as_json(method(wildcards.sampler).options("transform")),
        out=subpath(output.adapter, parent=True),
        code=lambda wildcards: code_identity("transform", f"transforms/{method(wildcards.sampler).transform}"),
    message:
        "Transform an adapter of {wildcards.model} by {wildcards.sampler}, n {wildcards.n}, trial {wildcards.trial}"
    shell:
        "stage transform --record {params.code} {output:q} --"
        " --transform {params.transform} --adapter {params.source:q} --model {params.model:q} {params.pretrained}"
        " --options {params.options:q} --out {params.out:q} &> {log:q}"


ruleorder: transform > train_selecting
