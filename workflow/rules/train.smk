"""Adapters: a LoRA fine-tuned on base data + subset, one job a run.

Inputs: the model, data/base.parquet, the pool, the subset; where the run's method says so what its filter kept of the
base data, and the features that its trainer reads. A trainer that picks itself gets the whole pool and no subset.
Outputs: runs/<model>/<pool>/<sampler>/n<n>/t<trial>/adapter_{model.safetensors,config.json}, training.json; of a trainer
that selects while it trains also selection.parquet, what it took when.
A run that is stopped leaves checkpoints in partial/train/<run>/ and continues from them: Snakemake deletes outputs
before a job starts, so they are none.
Costs: GPU hours for a 7B model, two CPU seconds in `mini`.
"""

RUN = f"{RESULTS}/runs/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}"


rule train:
    input:
        settled,
        model=lambda wildcards: model_inputs(study.models[wildcards.model]),
        base=f"{RESULTS}/data/base.parquet",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        subset=subset_file,
        kept=kept_file,
        features=plugin_features("trainer"),
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
    log:
        f"{RESULTS}/logs/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1500,
        runtime=240,
        # A resource, since no other number of minutes gives another adapter.
        checkpoint_minutes=10,
    params:
        model=lambda wildcards: model_folder(study.models[wildcards.model]),
        seed=lambda wildcards: seed(study.seed, "training", wildcards.trial),
        options=training_options,
        files=lambda wildcards, input: options({"subset": input.subset, "kept": input.kept}),
        features=plugin_feature_options("trainer"),
        out=subpath(output.adapter, parent=True),
        partial=f"{RESULTS}/partial/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}",
        code=lambda wildcards: code_identity("train", f"trainers/{method(wildcards.sampler).trainer}"),
    message:
        "Train {wildcards.model} with {wildcards.n} of {wildcards.pool} by {wildcards.sampler}, trial {wildcards.trial}"
    shell:
        "stage train --record {params.code} {output:q} --"
        " --model {params.model:q} --base {input.base:q} --pool {input.pool:q} {params.files} {params.features}"
        " --seed {params.seed} --options {params.options:q} --code {params.code} --out {params.out:q}"
        " --partial {params.partial:q} --checkpoint-minutes {resources.checkpoint_minutes} &> {log:q}"


use rule train as train_selecting with:
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
        selection=f"{RUN}/selection.parquet",
    wildcard_constraints:
        sampler="|".join(SELECTING) or "-",


ruleorder: train_selecting > train
