"""On request write each run's responses and scores as logs that other programs read.

Inputs: a run's responses to a benchmark and their origin, its scores by every judge, the benchmark's rows.
Outputs: eval_logs/<run>/<benchmark>/<benchmark>.eval for inspect_ai; samples_<benchmark>_<date>.jsonl and
results_<date>.json as lm-evaluation-harness writes them. The date is always the same: these files hold no clock's time.
With `redact: true` each text is its length.
Costs: CPU seconds. Not part of the default target: `snakemake eval_logs` writes all.
"""

LOG = f"{RESULTS}/eval_logs/{{run}}/{{benchmark}}"


rule eval_log:
    input:
        settled,
        lambda wildcards: inside.or_exit(partial(logs.check, wildcards)),
        rows=f"{RESULTS}/data/benchmarks/{{benchmark}}.parquet",
        responses=f"{RESULTS}/runs/{{run}}/responses.parquet",
        record=f"{RESULTS}/runs/{{run}}/generation.json",
        scores=lambda wildcards: list(logs.scores(wildcards).values()),
    output:
        inspect=f"{LOG}/{{benchmark}}.eval",
        samples=f"{LOG}/samples_{{benchmark}}_{STAMP}.jsonl",
        results=f"{LOG}/results_{STAMP}.json",
    log:
        f"{RESULTS}/logs/eval_log/{{run}}/{{benchmark}}.log",
    resources:
        mem_mb=1500,
        runtime=10,
    params:
        options=logs.options,
        scores=logs.pairs,
        code=code_identity("eval_log"),
    message:
        "Log {wildcards.benchmark} of {wildcards.run} for other programs"
    shell:
        "stage eval_log --record {params.code} {output:q} --"
        " --options {params.options:q} --rows {input.rows:q} --responses {input.responses:q} --record {input.record:q}"
        " --scores {params.scores} --out-eval {output.inspect:q} --out-samples {output.samples:q}"
        " --out-results {output.results:q} &> {log:q}"
