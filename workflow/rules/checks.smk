"""The publication's next checks: what changes on other harmful prompts, with labels by another judge, after a second task.

Inputs: scores.parquet; of pools that hold the same rows and are labelled by different judges, labels and subsets.
Outputs: checks.md.
Costs: CPU seconds. Only for a study with the experiment `checks` or `relabelling`.
"""


rule checks:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        labels=RELABELLED_LABELS,
        subsets=[file for *_, file in RELABELLED_SUBSETS],
    output:
        md=f"{RESULTS}/checks.md",
    log:
        f"{RESULTS}/logs/checks.log",
    benchmark:
        f"{RESULTS}/benchmarks/checks.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: as_json(checks_options()),
        labels=shlex.join(f"{pool}={file}" for pool, file in zip(RELABELLED, RELABELLED_LABELS)),
        code=code_identity("checks"),
    message:
        "Write what the checks beyond the paper show"
    shell:
        "stage checks --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --labels {params.labels} --out {output.md:q} &> {log:q}"


CHECKS = rules.checks.output if CHECKED else []
