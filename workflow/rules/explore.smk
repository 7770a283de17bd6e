"""explore.html: the responses of all runs side by side, in one file that a browser opens from disk.

Inputs: runs/<run>/responses.parquet, scores.parquet, the parts of the page.
Outputs: explore.html; with `redact: true` lengths stand in it in place of every text.
Costs: CPU seconds; the file grows with prompts x runs, its texts up to a limit (docs/explore.md).
"""

PAGE_PARTS = sorted(os.path.relpath(part) for part in sources.HOME.glob("explore/page/*"))


rule explore:
    input:
        settled,
        responses=expand("{results}/runs/{run}/responses.parquet", results=RESULTS, run=MEASURED),
        scores=f"{RESULTS}/scores.parquet",
        page=PAGE_PARTS,
    output:
        html=f"{RESULTS}/explore.html",
    log:
        f"{RESULTS}/logs/explore.log",
    benchmark:
        f"{RESULTS}/benchmarks/explore.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards, output: os.path.dirname(output.html),
        options=page_options(),
        code=code_identity("explore"),
    message:
        "Put the responses of {RUNS} runs side by side".replace("{RUNS}", str(len(MEASURED)))
    shell:
        "stage explore --record {params.code} {output:q} --"
        " --results {params.results:q} --options {params.options:q} --scores {input.scores:q} --out {output.html:q}"
        " &> {log:q}"
