"""Read datasets into Ballast's row schema, with ids made of content; inspect base data and pools before any label.

Inputs: the study's source files, each in the schema of its source; the benchmarks, if rows that ask them are dropped;
aligned/<model>/rows.parquet, which an aligned start learns, so that nothing else of the study holds them.
Outputs: data/pools/<pool>.parquet, data/base.parquet, data/references.parquet, data/benchmarks/<benchmark>.parquet,
each with <name>.counts.json, the rows of its file that are used and left out by reason;
data/report.md, data/leaks.csv, data/findings.json; data/accepted.txt, which a study with `checks` waits for.
Costs: CPU seconds for thousands of rows, a minute for hundreds of thousands.
"""


rule data:
    input:
        source=lambda wildcards: inputs.dataset(wildcards.dataset),
        without=inputs.without_leaks,
        learnt=inputs.learnt_starts,
    output:
        rows=f"{RESULTS}/data/{{dataset}}.parquet",
        counts=f"{RESULTS}/data/{{dataset}}.counts.json",
    log:
        f"{RESULTS}/logs/data/{{dataset}}.log",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        kind=lambda wildcards: plan.datasets[wildcards.dataset][0],
        format=lambda wildcards: plan.dataset_format(wildcards.dataset),
        source=lambda wildcards: inputs.data_file(plan.datasets[wildcards.dataset][1]),
        rows=options.dataset,
        code=lambda wildcards: code_identity("data", f"readers/{plan.dataset_format(wildcards.dataset)}"),
    message:
        "Read {wildcards.dataset}"
    shell:
        "stage data --record {params.code} {output:q} --"
        " --kind {params.kind} --format {params.format} --source {params.source:q} {params.rows}"
        " --without {input.without:q} --learnt {input.learnt:q}"
        " --out {output.rows:q} --out-counts {output.counts:q} &> {log:q}"


rule inspection:
    input:
        sources=lambda wildcards: inputs.inspected,
        learnt=lambda wildcards: inputs.starts_rows,
        benchmarks=inputs.benchmarks,
    output:
        report=f"{RESULTS}/data/report.md",
        leaks=f"{RESULTS}/data/leaks.csv",
        findings=f"{RESULTS}/data/findings.json",
    log:
        f"{RESULTS}/logs/inspection.log",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: options.inspection(),
        code=code_identity("inspection", *(f"readers/{plan.dataset_format(name)}" for name in plan.inspected)),
    message:
        "Look at base data and pools"
    shell:
        "stage inspection --record {params.code} {output:q} --"
        " --options {params.options:q} --benchmarks {input.benchmarks:q}"
        " --out-report {output.report:q} --out-leaks {output.leaks:q} --out-findings {output.findings:q} &> {log:q}"


rule accept:
    input:
        report=rules.inspection.output.report,
        findings=rules.inspection.output.findings,
    output:
        accepted=f"{RESULTS}/data/accepted.txt",
    log:
        f"{RESULTS}/logs/accept.log",
    localrule: True
    resources:
        mem_mb=500,
        runtime=5,
    params:
        code=code_identity("accept"),
    message:
        "See whether base data and pools may be used"
    shell:
        "stage accept --record {params.code} {output:q} --"
        " --report {input.report:q} --findings {input.findings:q} --out {output.accepted:q} 2> >(tee {log:q} >&2)"


# No output, so that it prints the findings each time.
rule inspect:
    input:
        report=rules.inspection.output.report,
        findings=rules.inspection.output.findings,
    log:
        f"{RESULTS}/logs/inspect.log",
    localrule: True
    resources:
        mem_mb=500,
        runtime=5,
    message:
        "Say what base data and pools are"
    shell:
        "stage accept --report {input.report:q} --findings {input.findings:q} 2> >(tee {log:q} >&2)"


ACCEPTED = rules.accept.output.accepted if study.checks else []
