"""Train LoRA adapters on base data + subset, one job per run; filter base data before, transform adapters after.

Inputs: the model, data/base.parquet, the subset's rows; the base rows that the method's filter kept, and the features
that its trainer reads. A trainer that picks rows itself gets the whole pool and no subset. A transform reads
the adapter of another run. So does a second training, which fine-tunes that adapter on data/tasks/<task>.parquet, and
the trainer `patch`, which fine-tunes it on the subset alone.
Outputs: runs/<model>/<pool>/<sampler>/n<n>/t<trial>/adapter_{model.safetensors,config.json}, training.json; of a
trainer that selects rows while it trains also selection.parquet. With `training.full` the files of a whole model, in
place of the adapter's.
kept/<model>/<pool>/<method>/n<n>/t<trial>.csv (id, score, kept), one row per base row; n and trial are 0 if the filter
does not depend on them.
A stopped run leaves checkpoints in partial/train/<run>/ and continues from them. They are not outputs, since Snakemake
deletes outputs before a job starts.
Costs: GPU hours for a 7B model, three CPU seconds in `mini`. A filter: a forward pass over the base data (saft) or a
training (seal). A transform: CPU minutes for a 7B model.
"""


rule filter:
    input:
        model=inputs.model,
        base=f"{RESULTS}/data/base.parquet",
        subset=inputs.filter_subset,
        features=lambda wildcards: list(inputs.plugin_features("filter", wildcards).values()),
    output:
        kept=f"{RESULTS}/kept/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.csv",
    log:
        f"{RESULTS}/logs/filter/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    resources:
        mem_mb=1500,
        runtime=240,
    params:
        model=options.model,
        filter=lambda wildcards: plan.method(wildcards.sampler).filter,
        seed=lambda wildcards: options.seed("training", wildcards.trial),
        options=options.filter,
        subset=lambda wildcards, input: as_arguments({"subset": input.subset}),
        features=lambda wildcards: options.plugin_features("filter", wildcards),
        code=lambda wildcards: code_identity("filter", f"filters/{plan.method(wildcards.sampler).filter}"),
    message:
        "Filter base data for {wildcards.model} by {wildcards.sampler}"
    shell:
        "stage filter --record {params.code} {output:q} --"
        " --filter {params.filter} --model {params.model:q} --base {input.base:q} {params.subset}"
        " {params.features} --seed {params.seed} --options {params.options:q} --out {output.kept:q} &> {log:q}"


rule train:
    input:
        settled,
        refusing=inputs.refusing,
        model=inputs.model,
        base=f"{RESULTS}/data/base.parquet",
        subset=inputs.subset_rows,
        pool=inputs.whole_pool,
        kept=inputs.kept,
        adapter=inputs.patched_files,
        features=lambda wildcards: list(inputs.plugin_features("trainer", wildcards).values()),
    output:
        [f"{RUN}/{file}" for file in inputs.run_files],
        log=f"{RUN}/training.json",
    log:
        f"{RESULTS}/logs/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    resources:
        mem_mb=1500,
        runtime=240,
        # Resources, not params, since neither the number of minutes nor a tracker changes the adapter.
        checkpoint_minutes=10,
        tracking=study.training.tracking or "off",
    params:
        model=options.model,
        seed=lambda wildcards: options.seed("training", wildcards.trial),
        options=options.training,
        files=lambda wildcards, input: as_arguments(
            {
                "subset": input.subset,
                "pool": input.pool,
                "kept": input.kept,
                "adapter": inputs.patched_adapter(wildcards),
            }
        ),
        features=lambda wildcards: options.plugin_features("trainer", wildcards),
        out=subpath(output.log, parent=True),
        partial=f"{RESULTS}/partial/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}",
        code=lambda wildcards: code_identity("train", f"trainers/{plan.method(wildcards.sampler).trainer}"),
    message:
        "Train {wildcards.model} with {wildcards.n} of {wildcards.pool} by {wildcards.sampler}, trial {wildcards.trial}"
    shell:
        "stage train --record {params.code} {output:q} --"
        " --model {params.model:q} --base {input.base:q} {params.files} {params.features}"
        " --seed {params.seed} --options {params.options:q} --code {params.code} --out {params.out:q}"
        " --partial {params.partial:q} --checkpoint-minutes {resources.checkpoint_minutes}"
        " --tracking {resources.tracking} &> {log:q}"


use rule train as train_selecting with:
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
        selection=f"{RUN}/selection.parquet",
    wildcard_constraints:
        sampler="|".join(plan.selecting) or "-",


rule transform:
    input:
        settled,
        adapter=inputs.source_files,
        training=lambda wildcards: f"{inputs.source_adapter(wildcards)}/training.json",
        model=inputs.weights,
        pretrained=inputs.pretrained_files,
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
    log:
        f"{RESULTS}/logs/transform/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    wildcard_constraints:
        sampler="|".join(plan.transformed) or "-",
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        transform=lambda wildcards: plan.method(wildcards.sampler).transform,
        source=inputs.source_adapter,
        model=options.model,
        pretrained=options.pretrained,
        options=options.transform,
        out=subpath(output.adapter, parent=True),
        code=lambda wildcards: code_identity("transform", f"transforms/{plan.method(wildcards.sampler).transform}"),
    message:
        "Transform an adapter of {wildcards.model} by {wildcards.sampler}, n {wildcards.n}, trial {wildcards.trial}"
    shell:
        "stage transform --record {params.code} {output:q} --"
        " --transform {params.transform} --adapter {params.source:q} --model {params.model:q} {params.pretrained}"
        " --options {params.options:q} --out {params.out:q} &> {log:q}"


rule train_on:
    input:
        settled,
        adapter=inputs.source_files,
        model=inputs.model,
        base=inputs.task,
    output:
        adapter=f"{RUN}/adapter_model.safetensors",
        config=f"{RUN}/adapter_config.json",
        log=f"{RUN}/training.json",
    log:
        f"{RESULTS}/logs/train_on/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    wildcard_constraints:
        sampler="|".join(plan.trained_on) or "-",
    resources:
        mem_mb=1500,
        runtime=240,
        checkpoint_minutes=10,
        tracking=study.training.tracking or "off",
    params:
        model=options.model,
        seed=lambda wildcards: options.seed("training on", wildcards.trial),
        options=options.second_training,
        source=inputs.source_adapter,
        out=subpath(output.adapter, parent=True),
        partial=f"{RESULTS}/partial/train/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}",
        code=code_identity("train", "trainers/sft"),
    message:
        "Train an adapter of {wildcards.model} on, by {wildcards.sampler}, n {wildcards.n}, trial {wildcards.trial}"
    shell:
        "stage train --record {params.code} {output:q} --"
        " --model {params.model:q} --base {input.base:q} --adapter {params.source:q}"
        " --seed {params.seed} --options {params.options:q} --code {params.code} --out {params.out:q}"
        " --partial {params.partial:q} --checkpoint-minutes {resources.checkpoint_minutes}"
        " --tracking {resources.tracking} &> {log:q}"


ruleorder: train_on > transform > train_selecting > train
