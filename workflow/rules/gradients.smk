"""Compute a model's features: a warmed-up adapter, each row's gradient at it, and log-probabilities without it.

Inputs: the model, data/base.parquet, the rows of a dataset (base, references, pools/<pool>).
Outputs: features/<model>/warm_up/adapter_{model.safetensors,config.json} and training.json,
features/<model>/gradients/<dataset>.arrow (id, loss, norm, projected gradient in float16; ballast/picks/gradients.py),
features/<model>/logprobs/<dataset>.parquet (id, log-probabilities of the response's tokens).
Costs: the warm-up a twentieth of a run of the paper; gradients one forward and backward pass, log-probabilities one
forward pass over the dataset. Memory does not grow with the dataset. Made if a plug-in NEEDS them, and for the gradient
report.
"""


rule warm_up:
    input:
        model=inputs.model,
        base=f"{RESULTS}/data/base.parquet",
    output:
        adapter=f"{RESULTS}/features/{{model}}/warm_up/adapter_model.safetensors",
        config=f"{RESULTS}/features/{{model}}/warm_up/adapter_config.json",
        log=f"{RESULTS}/features/{{model}}/warm_up/training.json",
    log:
        f"{RESULTS}/logs/warm_up/{{model}}.log",
    resources:
        mem_mb=1500,
        runtime=60,
        checkpoint_minutes=10,
    params:
        model=options.model,
        options=options.warm_up,
        rows=study.gradients.warm_up_rows,
        seed=options.seed("warm-up"),
        out=subpath(output.adapter, parent=True),
        partial=f"{RESULTS}/partial/warm_up/{{model}}",
        code=code_identity("warm_up"),
    message:
        "Warm up an adapter of {wildcards.model}"
    shell:
        "stage warm_up --record {params.code} {output:q} --"
        " --model {params.model:q} --base {input.base:q} --options {params.options:q} --rows {params.rows}"
        " --seed {params.seed} --code {params.code} --out {params.out:q}"
        " --partial {params.partial:q} --checkpoint-minutes {resources.checkpoint_minutes} &> {log:q}"


rule gradients:
    input:
        model=inputs.model,
        adapter=rules.warm_up.output.adapter,
        config=rules.warm_up.output.config,
        rows=f"{RESULTS}/data/{{rows}}.parquet",
    output:
        gradients=f"{RESULTS}/features/{{model}}/gradients/{{rows}}.arrow",
    log:
        f"{RESULTS}/logs/gradients/{{model}}/{{rows}}.log",
    wildcard_constraints:
        rows="base|references|pools/[^/]+",
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        model=options.model,
        adapter=subpath(input.adapter, parent=True),
        options=lambda wildcards: options.forced(wildcards, "dimensions", "projection_seed"),
        limit=options.rows_limit,
        code=code_identity("gradients"),
    message:
        "Take the gradients of {wildcards.rows} for {wildcards.model}"
    shell:
        "stage gradients --record {params.code} {output:q} --"
        " --model {params.model:q} --adapter {params.adapter:q} --rows {input.rows:q} {params.limit}"
        " --options {params.options:q} --out {output.gradients:q} &> {log:q}"


rule logprobs:
    input:
        model=inputs.model,
        rows=f"{RESULTS}/data/{{rows}}.parquet",
    output:
        logprobs=f"{RESULTS}/features/{{model}}/logprobs/{{rows}}.parquet",
    log:
        f"{RESULTS}/logs/logprobs/{{model}}/{{rows}}.log",
    wildcard_constraints:
        rows="base|pools/[^/]+",
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        model=options.model,
        options=options.forced,
        code=code_identity("logprobs"),
    message:
        "Take the log-probabilities of {wildcards.rows} under {wildcards.model}"
    shell:
        "stage logprobs --record {params.code} {output:q} --"
        " --model {params.model:q} --rows {input.rows:q} --options {params.options:q}"
        " --out {output.logprobs:q} &> {log:q}"
