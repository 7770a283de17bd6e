"""Responses: every benchmark's prompts answered by one run, in one start of the backend.

Inputs: the model, the run's adapter (none for a model as it is), data/benchmarks/*.parquet.
Outputs: runs/<run>/responses/<benchmark>.parquet with finish reasons and token counts.
Costs: GPU minutes a run with vLLM; half a CPU second in `mini`.
"""


rule generate:
    input:
        model=lambda wildcards: model_files(run_model(wildcards)),
        template=lambda wildcards: model_template(run_model(wildcards)),
        adapter=adapter,
        benchmarks=expand("{results}/data/benchmarks/{benchmark}.parquet", results=RESULTS, benchmark=study.benchmarks),
    output:
        responses=expand(
            "{results}/runs/{{run}}/responses/{benchmark}.parquet", results=RESULTS, benchmark=study.benchmarks
        ),
    log:
        f"{RESULTS}/logs/generate/{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generate/{{run}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1500,
        runtime=120,
    params:
        model=lambda wildcards: model_folder(run_model(wildcards)),
        adapter=lambda wildcards: options({"adapter": adapter(wildcards) and f"{RESULTS}/runs/{wildcards.run}"}),
        options=as_json(study.generation),
        code=code_identity("generate", f"backends/{study.generation.backend}"),
    message:
        "Generate with {wildcards.run}"
    shell:
        "stage generate --model {params.model:q} {params.adapter} --template {input.template:q}"
        " --options {params.options:q} --benchmarks {input.benchmarks:q} --out {output.responses:q} &> {log:q}"
