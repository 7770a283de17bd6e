"""Adapters that are trained on: what another method trained, fine-tuned further on a second task without safety data.

How much of the restored safety survives is what these runs show. The weights of the adapter go on; optimiser, schedule
and the order of rows are new.

Inputs: the other run's adapter, the model, data/tasks/<task>.parquet.
Outputs: runs/<run>/adapter_{model.safetensors,config.json}, training.json, as of any run.
Costs: as one training on so many rows.
"""


rule train_on:
    input:
        settled,
        adapter=lambda wildcards: [
            f"{source_adapter(wildcards)}/{file}" for file in ("adapter_model.safetensors", "adapter_config.json")
        ],
        model=lambda wildcards: model_inputs(study.models[wildcards.model]),
        base=lambda wildcards: f"{RESULTS}/data/tasks/{method(wildcards.sampler).then}.parquet",
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
    log:
        f"{RESULTS}/logs/train_on/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_on/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    wildcard_constraints:
        sampler="|".join(TRAINED_ON) or "-",
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1500,
        runtime=240,
        checkpoint_minutes=10,
    params:
        model=lambda wildcards: model_folder(study.models[wildcards.model]),
        seed=lambda wildcards: seed(study.seed, "training on", wildcards.trial),
        options=second_training_options,
        source=source_adapter,
        out=subpath(output.adapter, parent=True),
        partial=f"{RESULTS}/partial/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}",
        code=code_identity("train", "trainers/sft"),
    message:
        "Train an adapter of {wildcards.model} on, by {wildcards.sampler}, n {wildcards.n}, trial {wildcards.trial}"
    shell:
        "stage train --record {params.code} {output:q} --"
        " --model {params.model:q} --base {input.base:q} --adapter {params.source:q}"
        " --seed {params.seed} --options {params.options:q} --code {params.code} --out {params.out:q}"
        " --partial {params.partial:q} --checkpoint-minutes {resources.checkpoint_minutes} &> {log:q}"


ruleorder: train_on > transform > train_selecting > train
