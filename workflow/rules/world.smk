"""Make the mini world: an invented language, its datasets, and tiny models in the classes of the real ones.

Inputs: the study's world options and our own prompt templates.
Outputs: source files in the schemas of the real sources; base models; judges' stand-ins. Shared by every study that
names the same world.
Costs: about two CPU minutes once. A study without the mini world runs none of this.
"""

WORLD_OPTIONS = as_json(study.world.options)


rule world_data:
    output:
        files=expand("{folder}/data/{file}", folder=WORLD, file=sources.WORLD_DATA),
    log:
        f"{WORLD}/logs/data.log",
    resources:
        mem_mb=500,
        runtime=5,
    params:
        options=WORLD_OPTIONS,
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=code_identity("world_data"),
    message:
        "Write the mini world's source files"
    shell:
        "stage world_data --record {params.code} {output:q} --"
        " --options {params.options:q} --out {params.out:q} &> {log:q}"


rule world_checks:
    output:
        files=expand("{folder}/data/{file}", folder=WORLD, file=sources.WORLD_CHECKS),
    log:
        f"{WORLD}/logs/checks.log",
    resources:
        mem_mb=500,
        runtime=5,
    params:
        options=WORLD_OPTIONS,
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=code_identity("world_checks"),
    message:
        "Write the mini world's source files for the checks beyond the paper"
    shell:
        "stage world_checks --record {params.code} {output:q} --"
        " --options {params.options:q} --out {params.out:q} &> {log:q}"


rule world_tokenizer:
    input:
        template=sources.own_template("alpaca-shaped"),
    output:
        expand("{folder}/tokenizer/{file}", folder=WORLD, file=("tokenizer.json", "tokenizer_config.json")),
    log:
        f"{WORLD}/logs/tokenizer.log",
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=WORLD_OPTIONS,
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=code_identity("world_tokenizer"),
    message:
        "Train the mini world's tokenizer"
    shell:
        "stage world_tokenizer --record {params.code} {output:q} --"
        " --options {params.options:q} --template {input.template:q} --out {params.out:q}"
        " &> {log:q}"


rule world_model:
    input:
        start=inputs.aligned_from,
        tokenizer=rules.world_tokenizer.output,
        template=sources.own_template("alpaca-shaped"),
    output:
        inputs.world_model("{family}-{stage}"),
    log:
        f"{WORLD}/logs/models/{{family}}-{{stage}}.log",
    wildcard_constraints:
        stage="pretrained|aligned",
    priority: 10
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        options=WORLD_OPTIONS,
        start=lambda wildcards, input: as_arguments({"start": input.start and os.path.dirname(input.start[0])}),
        tokenizer=lambda wildcards, input: os.path.dirname(input.tokenizer[0]),
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=code_identity("world_model"),
    message:
        "Make a tiny {wildcards.family}, {wildcards.stage}"
    shell:
        "stage world_model --record {params.code} {output:q} --"
        " --options {params.options:q} --family {wildcards.family} --stage {wildcards.stage} {params.start}"
        " --tokenizer {params.tokenizer:q} --template {input.template:q} --out {params.out:q} &> {log:q}"


# Judges that answer in words start from a pretrained model; the two reward models are trained from scratch.
rule world_judge:
    input:
        start=lambda wildcards: inputs.world_model(sources.WORLD_JUDGES[wildcards.judge]),
        tokenizer=rules.world_tokenizer.output,
        template=lambda wildcards: sources.own_template(wildcards.judge) or [],
    output:
        expand("{folder}/models/{{judge}}/{file}", folder=WORLD, file=JUDGE_FILES),
    log:
        f"{WORLD}/logs/models/{{judge}}.log",
    wildcard_constraints:
        judge="|".join(sources.WORLD_JUDGES),
    priority: 10
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        options=WORLD_OPTIONS,
        start=lambda wildcards, input: as_arguments(
            {"start": input.start and os.path.dirname(input.start[0]), "template": input.template}
        ),
        tokenizer=lambda wildcards, input: os.path.dirname(input.tokenizer[0]),
        out=lambda wildcards, output: os.path.dirname(output[0]),
        code=code_identity("world_judge"),
    message:
        "Train the mini world's {wildcards.judge}"
    shell:
        "stage world_judge --record {params.code} {output:q} --"
        " --options {params.options:q} --judge {wildcards.judge} {params.start}"
        " --tokenizer {params.tokenizer:q} --out {params.out:q} &> {log:q}"
