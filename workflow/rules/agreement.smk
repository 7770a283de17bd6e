"""How far labels agree: the category labeller, Cossim, and people where labels.annotations names a sheet they filled.

Inputs: data/pools/<pool>.parquet, its labels; its embedding and the references'; the filled sheet.
Outputs: annotation/sheet.csv (to be filled in as a copy elsewhere) and guide.txt; agreement/<pool>.{csv,md}.
Costs: CPU seconds. Neither is part of the default target: `snakemake annotation_sheet`, `snakemake agreement`.
"""


rule annotation_sheet:
    input:
        pool=f"{RESULTS}/data/pools/{POOL}.parquet",
        category=f"{RESULTS}/labels/{POOL}/category.parquet",
        behaviour=f"{RESULTS}/labels/{POOL}/behaviour.parquet",
    output:
        sheet=f"{RESULTS}/annotation/sheet.csv",
        guide=f"{RESULTS}/annotation/guide.txt",
    log:
        f"{RESULTS}/logs/annotation_sheet.log",
    benchmark:
        f"{RESULTS}/benchmarks/annotation_sheet.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        rows=study.labels.annotation_rows,
        seed=study.seed,
        code=code_identity("annotation_sheet"),
    message:
        "Draw the sheet that people fill in"
    shell:
        "stage annotation_sheet --record {params.code} {output:q} --"
        " --pool {input.pool:q} --category {input.category:q} --behaviour {input.behaviour:q}"
        " --rows {params.rows} --seed {params.seed} --out-sheet {output.sheet:q} --out-guide {output.guide:q} &> {log:q}"


rule agreement:
    input:
        unpack(agreement_inputs),
    output:
        csv=f"{RESULTS}/agreement/{POOL}.csv",
        md=f"{RESULTS}/agreement/{POOL}.md",
    log:
        f"{RESULTS}/logs/agreement/{POOL}.log",
    benchmark:
        f"{RESULTS}/benchmarks/agreement/{POOL}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        files=agreement_files,
        options=as_json({"study": study.study, "synthetic": study.synthetic, "pool": POOL}),
        code=code_identity("agreement"),
    message:
        "Say how far the labels of pool {POOL} agree".replace("{POOL}", POOL)
    shell:
        "stage agreement --record {params.code} {output:q} --"
        " {params.files} --options {params.options:q} --out-csv {output.csv:q} --out-md {output.md:q}"
        " &> {log:q}"
