"""Tables 1-5, Figures 2-7, the headline, and beyond the paper contrasts, budgets, categories, the frontier, all
methods beside each other.

Inputs: every run's scores through one table, scores.parquet; Table 3 and Figure 5 read the labels instead.
Outputs: tables/<name>.{csv,md,tex}, figures/<name>.{pdf,svg,png,csv}, headline.txt.
Costs: CPU seconds. An experiment that the config leaves out has no table or figure.
"""

# Table 3 and Figure 5 describe the pool that the samplers of Table 1 draw from.
POOL = (study.experiments.sampling.pools if study.experiments.sampling else list(study.pools))[0]


TABLES = expand("{results}/{table}.{kind}", results=RESULTS, table=artefacts("tables"), kind=("csv", "md", "tex"))
FIGURES = expand(
    "{results}/{figure}.{kind}", results=RESULTS, figure=artefacts("figures"), kind=("pdf", "svg", "png", "csv")
)


rule scores:
    input:
        settled,
        responses=expand("{results}/runs/{run}/responses.parquet", results=RESULTS, run=MEASURED),
        scores=[file for run in MEASURED for file in run_scores(run)],
    output:
        scores=f"{RESULTS}/scores.parquet",
    log:
        f"{RESULTS}/logs/scores.log",
    benchmark:
        f"{RESULTS}/benchmarks/scores.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards, output: os.path.dirname(output.scores),
        options=as_json({"runs": MEASURED, "metrics": METRICS}),
        code=code_identity("scores"),
    message:
        "Gather the scores of {RUNS} runs".replace("{RUNS}", str(len(MEASURED)))
    shell:
        "stage scores --record {params.code} {output:q} --"
        " --results {params.results:q} --options {params.options:q} --out {output.scores:q} &> {log:q}"


rule table:
    input:
        settled,
        lambda wildcards: artefact_inputs(f"tables/{wildcards.name}"),
    output:
        csv=f"{RESULTS}/tables/{{name}}.csv",
        md=f"{RESULTS}/tables/{{name}}.md",
        tex=f"{RESULTS}/tables/{{name}}.tex",
    log:
        f"{RESULTS}/logs/tables/{{name}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tables/{{name}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: artefact_options(f"tables/{wildcards.name}"),
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
        lambda wildcards: artefact_inputs(f"figures/{wildcards.name}"),
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
    benchmark:
        f"{RESULTS}/benchmarks/figures/{{name}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: artefact_options(f"figures/{wildcards.name}"),
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
        scores=f"{RESULTS}/scores.parquet",
    output:
        text=f"{RESULTS}/headline.txt",
    log:
        f"{RESULTS}/logs/headline.log",
    benchmark:
        f"{RESULTS}/benchmarks/headline.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: artefact_options("headline"),
        code=code_identity("headline"),
    message:
        "Write the headline"
    shell:
        "stage headline --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --out {output.text:q} &> {log:q}"


HEADLINE = rules.headline.output if available("headline") else []
