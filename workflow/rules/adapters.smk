"""Prepare adapters for use elsewhere: write a model card, or merge an adapter into its model's weights.

Inputs: a run's adapter and log, its base data, pool and subset; for a merged model the model too.
Outputs: runs/<run>/README.md; runs/<run>/merged/{model.safetensors,config.json,generation_config.json,tokenizer.json,
tokenizer_config.json,README.md}.
Costs: a CPU second per card. A merged model is as large as its base, and is in memory once: 13.5 GB for a 7B model.
Neither is part of the default target: `snakemake cards` writes all cards; a merged model's path makes that one.
"""


rule card:
    input:
        settled,
        adapter=rules.train.output[0],
        config=rules.train.output[1],
        log=rules.train.output.log,
        base=f"{RESULTS}/data/base.parquet",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        subset=inputs.subset,
        kept=inputs.kept,
    output:
        card=f"{RUN}/README.md",
    log:
        f"{RESULTS}/logs/card/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    localrule: True
    resources:
        mem_mb=500,
        runtime=5,
    params:
        options=cards.card,
        files=lambda wildcards, input: as_arguments({"subset": input.subset, "kept": input.kept}),
        code=code_identity("card"),
    message:
        "Write the card of {output.card}"
    shell:
        "stage card --record {params.code} {output:q} --"
        " --adapter {input.adapter:q} --config {input.config:q} --log {input.log:q} --base {input.base:q}"
        " --pool {input.pool:q} {params.files} --options {params.options:q} --out {output.card:q} &> {log:q}"


rule merge:
    input:
        settled,
        model=inputs.weights,
        adapter=rules.train.output[0],
        config=rules.train.output[1],
        card=rules.card.output.card,
    output:
        [f"{RUN}/merged/{file}" for file in MODEL_FILES],
        card=f"{RUN}/merged/README.md",
    log:
        f"{RESULTS}/logs/merge/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        model=options.model,
        adapter=subpath(input.adapter, parent=True),
        dtype=study.training.dtype,
        out=subpath(output.card, parent=True),
        code=code_identity("merge"),
    message:
        "Merge the adapter into {params.out}"
    shell:
        "stage merge --record {params.code} {output:q} --"
        " --model {params.model:q} --adapter {params.adapter:q} --dtype {params.dtype} --card {input.card:q}"
        " --out {params.out:q} &> {log:q}"
