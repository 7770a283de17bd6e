"""CPU seconds of each method of the experiment `beyond`, beside those of plain training.

Inputs: the runs' adapters. The times are in the logs of their jobs, which are nobody's output and so no rule's input:
they are measured, and nothing that is made depends on them.
Outputs: spent.md, spent.csv; unlike every other file here they differ from one run of the study to the next.
Costs: a CPU second.
"""

SPENT = [f"{RESULTS}/spent.md"] if available("spent") else []


rule spent:
    input:
        settled,
        lambda wildcards: [f"{RESULTS}/runs/{run.path}/adapter_model.safetensors" for run in beyond_runs()],
    output:
        md=f"{RESULTS}/spent.md",
        csv=f"{RESULTS}/spent.csv",
    log:
        f"{RESULTS}/logs/spent.log",
    benchmark:
        f"{RESULTS}/benchmarks/spent.jsonl"
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=lambda wildcards: artefact_options("spent"),
        logs=lambda wildcards: as_json(spent_logs()),
        code=code_identity("spent"),
    message:
        "Say how many CPU seconds each method took"
    shell:
        "stage spent --record {params.code} {output:q} --"
        " --options {params.options:q} --logs {params.logs:q} --out-md {output.md:q} --out-csv {output.csv:q}"
        " &> {log:q}"
