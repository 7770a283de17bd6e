"""Compare models before and after a fine-tuning that somebody made: the config's `measure`.

Inputs: scores/measure/<metric>.parquet; the responses of these models; the benchmarks; results of lm-evaluation-harness
that somebody has; for what to add, the paper's printed numbers and the advice of other studies, results/*/advice.csv.
Outputs: measure.md, each metric before and after, by category, with a check of the responses themselves; measure.json, the
same for programs.
Costs: CPU seconds.
"""


rule measured:
    input:
        settled,
        scores=plan.scores_of("measure", study.measure.metrics) if study.measure else [],
        benchmarks=lambda wildcards: list(documents.measured_rows.values()),
        advice=documents.advice_at_hand,
        published=PUBLISHED,
        harness=list(study.measure.harness.values()) if study.measure else [],
        responses=lambda wildcards: [f"{RESULTS}/runs/{name}/as-is/responses.parquet" for name in study.measure.models],
    output:
        md=f"{RESULTS}/measure.md",
        json=f"{RESULTS}/measure.json",
    log:
        f"{RESULTS}/logs/measure.log",
    localrule: True
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        options=lambda wildcards: documents.measure(),
        benchmarks=lambda wildcards: as_pairs(documents.measured_rows),
        harness=as_pairs(study.measure.harness) if study.measure else "",
        configfiles=[os.path.relpath(file) for file in workflow.overwrite_configfiles],
        code=code_identity("measure"),
    message:
        "Compare models before and after"
    shell:
        "stage measure --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --responses {input.responses:q}"
        " --benchmarks {params.benchmarks} --harness {params.harness} --published {input.published:q} --advice {input.advice:q}"
        " --configfiles {params.configfiles:q}"
        " --out-md {output.md:q} --out-json {output.json:q} &> {log:q}"


MEASURED = rules.measured.output if study.measure else []
