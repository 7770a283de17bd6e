"""What the study's own files are, and whether they may be used: before any label is made.

Inputs: the files of base data and pools as they came, and the benchmarks.
Outputs: data/report.md, data/leaks.csv, data/findings.json; data/accepted.txt, which a study with `checks` waits for.
Costs: CPU seconds for thousands of rows, a minute for hundreds of thousands.
"""

INSPECTED = {name: data for name, (kind, data) in DATASETS.items() if name == "base" or name.startswith("pools/")}


rule inspection:
    input:
        sources=lambda wildcards: [data_input(data) for data in INSPECTED.values()],
        benchmarks=expand("{results}/data/benchmarks/{name}.parquet", results=RESULTS, name=study.benchmarks),
    output:
        report=f"{RESULTS}/data/report.md",
        leaks=f"{RESULTS}/data/leaks.csv",
        findings=f"{RESULTS}/data/findings.json",
    log:
        f"{RESULTS}/logs/inspection.log",
    benchmark:
        f"{RESULTS}/benchmarks/inspection.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: inspection_options(),
        code=code_identity("inspection", *(f"readers/{dataset_format(name)}" for name in INSPECTED)),
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
    benchmark:
        f"{RESULTS}/benchmarks/accept.jsonl"
    localrule: True
    conda:
        "../../envs/ballast.yaml"
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


# No output: it says what was found each time it is asked.
rule inspect:
    input:
        report=rules.inspection.output.report,
        findings=rules.inspection.output.findings,
    log:
        f"{RESULTS}/logs/inspect.log",
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    message:
        "Say what base data and pools are"
    shell:
        "stage accept --report {input.report:q} --findings {input.findings:q} 2> >(tee {log:q} >&2)"


ACCEPTED = rules.accept.output.accepted if study.checks else []
