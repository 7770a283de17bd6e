"""Judge one run's responses to one benchmark with one judge, or compare two runs.

Inputs: runs/<run>/responses.parquet, the judge; for a comparison the responses or scores of both runs.
Outputs: runs/<run>/scores/<benchmark>.<judge>.parquet; an unreadable answer is missing, never 0. A comparison has the
same columns, and `first` and `second`: the verdict in each order of the two responses.
Costs: GPU minutes per run; a tenth of a CPU second in `mini`. A comparison: two short answers per prompt; by scores
nothing.

The judge's model stays loaded for the next job of the same judge in this process or cluster job. Each answer is kept at
once in store/, for all judges and labels: a pair is judged once however many runs hold it, and a killed job resumes.
Deleting the store is always safe.
"""


rule judge:
    input:
        settled,
        responses=f"{RESULTS}/runs/{{run}}/responses.parquet",
        judge=lambda wildcards: inputs.judge(wildcards.judge),
        rows=lambda wildcards: inputs.judged_rows(wildcards.judge, wildcards.benchmark),
    output:
        scores=f"{RESULTS}/runs/{{run}}/scores/{{benchmark}}.{{judge}}.parquet",
    log:
        f"{RESULTS}/logs/judge/{{run}}/{{benchmark}}.{{judge}}.log",
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        options=lambda wildcards: options.judge(wildcards.judge),
        canaries=lambda wildcards: options.canaries(wildcards.judge, wildcards.benchmark),
        store=f"{RESULTS}/store",
        code=lambda wildcards: code_identity("judge", *options.judge_code(wildcards.judge)),
    message:
        "Judge {wildcards.benchmark} of {wildcards.run} by {wildcards.judge}"
    shell:
        "stage judge --record {params.code} {output:q} --"
        " --judge {wildcards.judge} --options {params.options:q} {params.canaries}"
        " --store {params.store:q} --benchmark {wildcards.benchmark} --responses {input.responses:q}"
        " --out {output.scores:q} &> {log:q}"


rule pairwise:
    input:
        settled,
        unpack(inputs.pairwise),
    output:
        scores=f"{RESULTS}/runs/{{run}}/scores/{{benchmark}}.{{pairwise}}.parquet",
    log:
        f"{RESULTS}/logs/pairwise/{{run}}/{{benchmark}}.{{pairwise}}.log",
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        options=lambda wildcards: options.pairwise(wildcards.pairwise),
        store=f"{RESULTS}/store",
        code=lambda wildcards: code_identity("pairwise", *options.pairwise_code(wildcards.pairwise)),
    message:
        "Compare {wildcards.run} on {wildcards.benchmark} by {wildcards.pairwise}"
    shell:
        "stage pairwise --record {params.code} {output:q} --"
        " --name {wildcards.pairwise} --options {params.options:q} --store {params.store:q}"
        " --benchmark {wildcards.benchmark} --ours {input.ours:q} --theirs {input.theirs:q}"
        " --out {output.scores:q} &> {log:q}"
