"""Write Tables 1-5, Figures 2-7 and the headline; beyond the paper contrasts, budgets, categories and the frontier.

Inputs: the runs' scores; Table 3 and Figure 5 read the labels instead.
Outputs: scores/<experiment>/<metric>.parquet, the scores of one experiment's runs, so that a table needs no other run;
scores.parquet, all scores; tables/<name>.{csv,md,tex}, figures/<name>.{pdf,svg,png,csv}, headline.txt.
Costs: CPU seconds. An experiment that the config leaves out has no table or figure.
"""

TABLES = documents.files("tables", ("csv", "md", "tex"))
FIGURES = documents.files("figures", ("pdf", "svg", "png", "csv"))


rule scores:
    input:
        settled,
        responses=inputs.gathered_responses,
        scores=inputs.gathered_scores,
    output:
        scores=f"{RESULTS}/{{gathered}}.parquet",
    log:
        f"{RESULTS}/logs/{{gathered}}.log",
    wildcard_constraints:
        gathered="scores(/[^/]+/[^/]+)?",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards: plan.results,
        options=options.gathered,
        code=code_identity("scores"),
    message:
        "Gather {wildcards.gathered}"
    shell:
        "stage scores --record {params.code} {output:q} --"
        " --results {params.results:q} --options {params.options:q} --out {output.scores:q} &> {log:q}"


rule table:
    input:
        settled,
        lambda wildcards: documents.artefact_inputs(f"tables/{wildcards.name}"),
    output:
        csv=f"{RESULTS}/tables/{{name}}.csv",
        md=f"{RESULTS}/tables/{{name}}.md",
        tex=f"{RESULTS}/tables/{{name}}.tex",
    log:
        f"{RESULTS}/logs/tables/{{name}}.log",
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: documents.artefact(f"tables/{wildcards.name}"),
        code=lambda wildcards: code_identity("table", f"tables/{wildcards.name}"),
    message:
        "Write {wildcards.name}"
    shell:
        "stage table --record {params.code} {output:q} --"
        " --name {wildcards.name} --options {params.options:q} --inputs {input:q}"
        " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} &> {log:q}"


rule figure:
    input:
        settled,
        lambda wildcards: documents.artefact_inputs(f"figures/{wildcards.name}"),
    output:
        pdf=f"{RESULTS}/figures/{{name}}.pdf",
        svg=report(
            f"{RESULTS}/figures/{{name}}.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "{name}"},
        ),
        png=f"{RESULTS}/figures/{{name}}.png",
        csv=f"{RESULTS}/figures/{{name}}.csv",
    log:
        f"{RESULTS}/logs/figures/{{name}}.log",
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: documents.artefact(f"figures/{wildcards.name}"),
        code=lambda wildcards: code_identity("figure", f"figures/{wildcards.name}"),
    message:
        "Draw {wildcards.name}"
    shell:
        "stage figure --record {params.code} {output:q} --"
        " --name {wildcards.name} --options {params.options:q} --inputs {input:q}"
        " --out-pdf {output.pdf:q} --out-svg {output.svg:q} --out-png {output.png:q} --out-csv {output.csv:q}"
        " &> {log:q}"


rule headline:
    input:
        settled,
        scores=lambda wildcards: documents.artefact_inputs("headline"),
    output:
        text=f"{RESULTS}/headline.txt",
    log:
        f"{RESULTS}/logs/headline.log",
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: documents.artefact("headline"),
        code=code_identity("headline"),
    message:
        "Write the headline"
    shell:
        "stage headline --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --out {output.text:q} &> {log:q}"


HEADLINE = rules.headline.output if documents.available("headline") else []
