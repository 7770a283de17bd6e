"""Tables 1-4 and 5, Figures 2-7 and the headline.

Inputs: every run's scores through one table, scores.parquet; Table 3 and Figure 5 read the labels instead.
Outputs: tables/table<1-5>.{csv,md,tex}, figures/figure<2-7>.{pdf,svg,png,csv}, headline.txt.
Costs: CPU seconds. An experiment that the config leaves out has no table or figure.
"""

EXPERIMENT = {
    "table-1": "sampling",
    "table-2": "sampling",
    "table-4": "transfer",
    "table-5": "forgetting",
    "figure-2": "behaviour",
    "figure-3": "sampling",
    "figure-4": "sampling",
    "figure-6": "sampling",
    "figure-7": "rewriting",
    "headline": "sampling",
    "advice": "sampling",
    "trouble": "sampling",
}
# Table 3 and Figure 5 describe the pool that the samplers of Table 1 draw from.
POOL = (study.experiments.sampling.pools if study.experiments.sampling else list(study.pools))[0]


TABLES = expand(
    "{results}/tables/table{number}.{kind}",
    results=RESULTS,
    number=[number for number in (1, 2, 3, 4, 5) if available(f"table-{number}")],
    kind=("csv", "md", "tex"),
)
FIGURES = expand(
    "{results}/figures/figure{number}.{kind}",
    results=RESULTS,
    number=[number for number in (2, 3, 4, 5, 6, 7) if available(f"figure-{number}")],
    kind=("pdf", "svg", "png", "csv"),
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
        lambda wildcards: artefact_inputs(f"table-{wildcards.number}"),
    output:
        csv=f"{RESULTS}/tables/table{{number}}.csv",
        md=f"{RESULTS}/tables/table{{number}}.md",
        tex=f"{RESULTS}/tables/table{{number}}.tex",
    log:
        f"{RESULTS}/logs/table{{number}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table{{number}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: artefact_options(f"table-{wildcards.number}"),
        code=code_identity("table"),
    message:
        "Write Table {wildcards.number}"
    shell:
        "stage table --record {params.code} {output:q} --"
        " --number {wildcards.number} --options {params.options:q} --inputs {input:q}"
        " --out-csv {output.csv:q} --out-md {output.md:q} --out-tex {output.tex:q} &> {log:q}"


rule figure:
    input:
        settled,
        lambda wildcards: artefact_inputs(f"figure-{wildcards.number}"),
    output:
        pdf=f"{RESULTS}/figures/figure{{number}}.pdf",
        svg=f"{RESULTS}/figures/figure{{number}}.svg",
        png=f"{RESULTS}/figures/figure{{number}}.png",
        csv=f"{RESULTS}/figures/figure{{number}}.csv",
    log:
        f"{RESULTS}/logs/figure{{number}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/figure{{number}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: artefact_options(f"figure-{wildcards.number}"),
        code=code_identity("figure"),
    message:
        "Draw Figure {wildcards.number}"
    shell:
        "stage figure --record {params.code} {output:q} --"
        " --number {wildcards.number} --options {params.options:q} --inputs {input:q}"
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
        options=artefact_options("headline"),
        code=code_identity("headline"),
    message:
        "Write the headline"
    shell:
        "stage headline --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --out {output.text:q} &> {log:q}"
