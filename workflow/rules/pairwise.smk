"""Win rates: a run's responses to a benchmark beside those of another run, by default base data alone.

Inputs: both runs' responses and a language model, or both runs' scores by one judge.
Outputs: runs/<run>/scores/<benchmark>.<pairwise>.parquet, beside the judges' and in their columns; `first` and `second`
are what each order of showing the two gave.
Costs: two short answers a prompt; by scores nothing. Only for a metric of `other_metrics` that names it.

Every answer is kept at once in store/, as the judges' are: a pair of responses is compared once however many runs hold it.
"""


rule pairwise:
    input:
        settled,
        unpack(pairwise_inputs),
    output:
        scores=f"{RESULTS}/runs/{{run}}/scores/{{benchmark}}.{{pairwise}}.parquet",
    log:
        f"{RESULTS}/logs/pairwise/{{run}}/{{benchmark}}.{{pairwise}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pairwise/{{run}}/{{benchmark}}.{{pairwise}}.jsonl"
    conda:
        MODEL_ENV
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        options=lambda wildcards: pairwise_options(wildcards.pairwise),
        store=f"{RESULTS}/store",
        code=lambda wildcards: pairwise_code(wildcards.pairwise),
    message:
        "Compare {wildcards.run} on {wildcards.benchmark} by {wildcards.pairwise}"
    shell:
        "stage pairwise --record {params.code} {output:q} --"
        " --name {wildcards.pairwise} --options {params.options:q} --store {params.store:q}"
        " --benchmark {wildcards.benchmark} --ours {input.ours:q} --theirs {input.theirs:q}"
        " --out {output.scores:q} &> {log:q}"
