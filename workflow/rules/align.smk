"""Align a model first where the config says so: fine-tune it on refusals and answers, and merge the adapter into it.

Inputs: the model; the files of the pools and base data that it learns from.
Outputs: aligned/<model>/rows.parquet, what it learns, which data.smk leaves out of everything else;
{model.safetensors,config.json,generation_config.json,tokenizer.json,tokenizer_config.json} there, the model from which
each run starts, and training.json; refusals.json, how many prompts it refuses before any training.
Costs: one training, one merge and one generation per model.
"""


rule aligned_rows:
    input:
        inputs.learns,
    output:
        rows=f"{RESULTS}/aligned/{{model}}/rows.parquet",
    log:
        f"{RESULTS}/logs/aligned_rows/{{model}}.log",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        datasets=options.aligned_rows,
        seed=lambda wildcards: study.models[wildcards.model].aligned.seed,
        code=lambda wildcards: code_identity(
            "aligned_rows",
            *(f"readers/{plan.dataset_format(name)}" for name, _ in plan.learns(wildcards.model).values()),
        ),
    message:
        "Draw what {wildcards.model} learns first"
    shell:
        "stage aligned_rows --record {params.code} {output:q} --"
        " --datasets {params.datasets:q} --seed {params.seed} --out {output.rows:q} &> {log:q}"


rule align:
    input:
        model=lambda wildcards: inputs.start_files(study.models[wildcards.model]),
        rows=rules.aligned_rows.output.rows,
    output:
        [f"{RESULTS}/aligned/{{model}}/{file}" for file in MODEL_FILES],
        log=f"{RESULTS}/aligned/{{model}}/training.json",
    log:
        f"{RESULTS}/logs/align/{{model}}.log",
    resources:
        mem_mb=4000,
        runtime=240,
        checkpoint_minutes=10,
    params:
        model=lambda wildcards: inputs.start_folder(study.models[wildcards.model]),
        seed=lambda wildcards: study.models[wildcards.model].aligned.seed,
        options=options.aligned_training,
        out=subpath(output.log, parent=True),
        partial=f"{RESULTS}/partial/align/{{model}}",
        code=code_identity("align", "trainers/sft"),
    message:
        "Align {wildcards.model}"
    shell:
        "stage align --record {params.code} {output:q} --"
        " --model {params.model:q} --rows {input.rows:q} --seed {params.seed} --options {params.options:q}"
        " --code {params.code} --out {params.out:q} --partial {params.partial:q}"
        " --checkpoint-minutes {resources.checkpoint_minutes} &> {log:q}"


rule aligned_refusals:
    input:
        responses=f"{RESULTS}/runs/{{model}}/as-is/responses.parquet",
    output:
        refusals=f"{RESULTS}/aligned/{{model}}/refusals.json",
    log:
        f"{RESULTS}/logs/aligned_refusals/{{model}}.log",
    localrule: True
    resources:
        mem_mb=500,
        runtime=5,
    params:
        benchmark=study.metrics.harm.benchmark,
        least=lambda wildcards: study.models[wildcards.model].aligned.refuses,
        code=code_identity("aligned_refusals"),
    message:
        "See whether {wildcards.model} refuses"
    shell:
        "stage aligned_refusals --record {params.code} {output:q} --"
        " --model {wildcards.model} --responses {input.responses:q} --benchmark {params.benchmark} --least {params.least}"
        " --out {output.refusals:q} 2> >(tee {log:q} >&2)"
