"""Scores: one judge over one run's responses to one benchmark, with canaries in every job.

Inputs: runs/<run>/responses.parquet, the judge.
Outputs: runs/<run>/scores/<benchmark>.<judge>.parquet; an answer that could not be read is missing, never 0.
Costs: GPU minutes a run; a tenth of a CPU second in `mini`.

The judge's model stays loaded for the next job of the same judge that this process, or one cluster job, runs.
Every answer is kept at once in store/, for all judges and labels: a pair is judged once however many runs hold it, and
a killed job goes on where it was. Deleting the store is always safe.
"""


rule judge:
    input:
        settled,
        responses=f"{RESULTS}/runs/{{run}}/responses.parquet",
        judge=lambda wildcards: judge_files(wildcards.judge),
    output:
        scores=f"{RESULTS}/runs/{{run}}/scores/{{benchmark}}.{{judge}}.parquet",
    log:
        f"{RESULTS}/logs/judge/{{run}}/{{benchmark}}.{{judge}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/judge/{{run}}/{{benchmark}}.{{judge}}.jsonl"
    conda:
        MODEL_ENV
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        options=lambda wildcards: judge_options(wildcards.judge),
        canaries=lambda wildcards: canaries_option(wildcards.judge),
        store=f"{RESULTS}/store",
        code=lambda wildcards: judge_code("judge", wildcards.judge),
    message:
        "Judge {wildcards.benchmark} of {wildcards.run} by {wildcards.judge}"
    shell:
        "stage judge --record {params.code} {output:q} --"
        " --judge {wildcards.judge} --options {params.options:q} {params.canaries}"
        " --store {params.store:q} --benchmark {wildcards.benchmark} --responses {input.responses:q}"
        " --out {output.scores:q} &> {log:q}"
