"""Align a model first where the config says so: fine-tune it on refusals and base data, and merge the adapter into it.

Inputs: the model; data/pools/<pool>.held.parquet and data/base.held.parquet, its rows; all data that the study measures
with or picks from, which must not hold them.
Outputs: aligned/<model>/{model.safetensors,config.json,generation_config.json,tokenizer.json,tokenizer_config.json}, the
model from which each run starts, and training.json.
Costs: one training and one merge per model.
"""


rule align:
    input:
        model=lambda wildcards: inputs.start_files(study.models[wildcards.model]),
        held=inputs.learnt_start,
        others=lambda wildcards: inputs.asked_or_picked,
    output:
        [f"{RESULTS}/aligned/{{model}}/{file}" for file in MODEL_FILES],
        log=f"{RESULTS}/aligned/{{model}}/training.json",
    log:
        f"{RESULTS}/logs/align/{{model}}.log",
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
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
        " --model {params.model:q} --name {wildcards.model} --held {input.held:q} --others {input.others:q}"
        " --seed {params.seed} --options {params.options:q} --code {params.code} --out {params.out:q}"
        " --partial {params.partial:q} --checkpoint-minutes {resources.checkpoint_minutes} &> {log:q}"
