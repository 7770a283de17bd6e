"""Signatures of trouble: what in a finished study should be looked at before its numbers are believed.

Inputs: scores.parquet, every run's training.json and responses, the subsets, the pool's labels; the filled sheet of
labels.annotations, and what the mini world knows of its own pool.
Outputs: trouble.{txt,csv,md}; the text ends a run.
Costs: CPU seconds, and reading every response once.
"""


rule trouble:
    input:
        settled,
        unpack(trouble_labels),
        scores=f"{RESULTS}/scores.parquet",
        training=[f"{RESULTS}/runs/{run.path}/training.json" for run in RUNS],
        responses=[f"{RESULTS}/runs/{run.path}/responses.parquet" for run in RUNS],
        subsets=SUBSETS,
    output:
        txt=f"{RESULTS}/trouble.txt",
        csv=f"{RESULTS}/trouble.csv",
        md=f"{RESULTS}/trouble.md",
    log:
        f"{RESULTS}/logs/trouble.log",
    benchmark:
        f"{RESULTS}/benchmarks/trouble.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards, output: os.path.dirname(output.txt),
        runs=json.dumps({run.path: subset(study, run) for run in RUNS}),
        canaries=as_json({name: bool(judge.canaries) for name, judge in study.judges.items()}),
        labels=lambda wildcards: options(trouble_labels(wildcards)),
        options=lambda wildcards: artefact_options("trouble"),
        code=code_identity("trouble"),
    message:
        "Look for signatures of trouble"
    shell:
        "stage trouble --record {params.code} {output:q} --"
        " --options {params.options:q} --results {params.results:q} --runs {params.runs:q}"
        " --canaries {params.canaries:q} --scores {input.scores:q} {params.labels}"
        " --out-txt {output.txt:q} --out-csv {output.csv:q} --out-md {output.md:q} &> {log:q}"


TROUBLE = rules.trouble.output if available("trouble") else []
