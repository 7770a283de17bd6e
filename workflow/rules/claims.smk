"""Check the claims of the publications, and compare the paper's tables with the study's own.

Inputs: scores.parquet, and the paper's printed numbers, scripts/ballast/published/tables.csv.
Outputs: claims.{csv,md}; comparison/table<1,2,4>.{csv,md}.
Costs: CPU minutes. An experiment that the config leaves out has no comparison, and its claims are not decidable.
"""

PUBLISHED = os.path.relpath(sources.HOME / "published/tables.csv")


rule claims:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        published=PUBLISHED,
    output:
        csv=f"{RESULTS}/claims.csv",
        md=f"{RESULTS}/claims.md",
    log:
        f"{RESULTS}/logs/claims.log",
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        options=lambda wildcards: documents.claims(),
        code=code_identity("claims"),
    message:
        "Check the claims of the publications"
    shell:
        "stage claims --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --published {input.published:q}"
        " --out-csv {output.csv:q} --out-md {output.md:q} &> {log:q}"


rule comparison:
    input:
        settled,
        scores=lambda wildcards: documents.artefact_inputs(f"comparison-{wildcards.number}"),
        published=PUBLISHED,
    output:
        csv=f"{RESULTS}/comparison/table{{number}}.csv",
        md=f"{RESULTS}/comparison/table{{number}}.md",
    log:
        f"{RESULTS}/logs/comparison{{number}}.log",
    resources:
        mem_mb=8000,
        runtime=30,
    params:
        options=lambda wildcards: documents.artefact(f"comparison-{wildcards.number}"),
        code=code_identity("comparison"),
    message:
        "Compare Table {wildcards.number} with the paper's"
    shell:
        "stage comparison --record {params.code} {output:q} --"
        " --number {wildcards.number} --options {params.options:q} --scores {input.scores:q}"
        " --published {input.published:q} --out-csv {output.csv:q} --out-md {output.md:q} &> {log:q}"
