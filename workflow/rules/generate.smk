"""Generate responses to all prompts of a run's benchmarks, in one start of the backend.

Inputs: the model, the run's adapter (none for a model without fine-tuning), data/benchmarks/*.parquet.
Outputs: runs/<run>/responses.parquet with finish reasons and token counts; generation.json, their origin.
Costs: GPU minutes per run with vLLM; half a CPU second in `mini`.

Every batch is kept at once in partial/generate/<run>/, so a killed job resumes; then the folder is removed.
"""

ELSEWHERE = "|".join(map(re.escape, plan.elsewhere)) or "-"


rule generate:
    input:
        settled,
        model=inputs.generating,
        adapter=inputs.adapter,
        benchmarks=lambda wildcards: list(inputs.run_benchmarks(wildcards).values()),
    output:
        responses=f"{RESULTS}/runs/{{run}}/responses.parquet",
        record=f"{RESULTS}/runs/{{run}}/generation.json",
    log:
        f"{RESULTS}/logs/generate/{{run}}.log",
    wildcard_constraints:
        run=f"(?!({ELSEWHERE})/)[^/]+/(as-is|[^/]+/[^/]+/n\\d+/t\\d+)",
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        model=options.generating_model,
        adapter=options.adapter,
        benchmarks=options.run_benchmarks,
        options=options.generation,
        partial=f"{RESULTS}/partial/generate/{{run}}",
        code=code_identity("generate", f"backends/{study.generation.backend}"),
    message:
        "Generate with {wildcards.run}"
    shell:
        "stage generate --record {params.code} {output:q} --"
        " --model {params.model:q} {params.adapter} --options {params.options:q}"
        " --benchmarks {params.benchmarks} --partial {params.partial:q} --out {output.responses:q}"
        " --record {output.record:q} &> {log:q}"


rule respond:
    input:
        settled,
        file=inputs.responses_file,
        benchmarks=lambda wildcards: list(inputs.run_benchmarks(wildcards).values()),
    output:
        responses=f"{RESULTS}/runs/{{run}}/responses.parquet",
        record=f"{RESULTS}/runs/{{run}}/generation.json",
    log:
        f"{RESULTS}/logs/respond/{{run}}.log",
    wildcard_constraints:
        run=ELSEWHERE,
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        place=options.responding,
        benchmarks=options.run_benchmarks,
        code=code_identity("respond"),
    message:
        "Take the responses of {wildcards.run} from elsewhere"
    shell:
        "stage respond --record {params.code} {output:q} --"
        " {params.place} --benchmarks {params.benchmarks} --out {output.responses:q} --record {output.record:q} &> {log:q}"
