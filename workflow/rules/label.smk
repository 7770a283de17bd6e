"""Label and embed each row of a pool; on request compare the labels with each other and with people's.

Inputs: data/pools/<pool>.parquet, the judge or labeller, or the pool's own file with a column of labels; the sentence
encoder; the sheet of labels.annotations.
Outputs: labels/<pool>/behaviour.parquet, labels/<pool>/category.parquet, embeddings/pools/<pool>.arrow (Arrow IPC, float16).
On request: annotation/sheet.csv (people fill in a copy of it elsewhere) and guide.txt; agreement/<pool>.{csv,md}.
Costs: one pass of a 7B judge over the pool (GPU minutes for the paper's 2,483 rows); CPU seconds for the rest.
"""


rule behaviour:
    input:
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        judge=lambda wildcards: inputs.behaviour(wildcards.pool),
        accepted=ancient(ACCEPTED),
    output:
        labels=f"{RESULTS}/labels/{{pool}}/behaviour.parquet",
    log:
        f"{RESULTS}/logs/behaviour/{{pool}}.log",
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        judge=lambda wildcards: options.labeller(wildcards.pool, "behaviour"),
        options=lambda wildcards: options.behaviour(wildcards.pool),
        canaries=lambda wildcards: options.behaviour_files(wildcards.pool),
        store=f"{RESULTS}/store",
        code=lambda wildcards: code_identity("behaviour", *options.behaviour_code(wildcards.pool)),
    message:
        "Label the behaviour of pool {wildcards.pool}"
    shell:
        "stage behaviour --record {params.code} {output:q} --"
        " --pool {input.pool:q} --judge {params.judge} --options {params.options:q}"
        " {params.canaries} --store {params.store:q} --out {output.labels:q} &> {log:q}"


rule category:
    input:
        unpack(inputs.category),
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        accepted=ancient(ACCEPTED),
    output:
        labels=f"{RESULTS}/labels/{{pool}}/category.parquet",
    log:
        f"{RESULTS}/logs/category/{{pool}}.log",
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        labeller=lambda wildcards: options.labeller(wildcards.pool, "category"),
        options=options.category,
        files=options.category_files,
        store=f"{RESULTS}/store",
        code=code_identity("category", *options.category_code),
    message:
        "Label the categories of pool {wildcards.pool}"
    shell:
        "stage category --record {params.code} {output:q} --"
        " --labeller {params.labeller} --pool {input.pool:q} --options {params.options:q}"
        " {params.files} --store {params.store:q} --out {output.labels:q} &> {log:q}"


rule embed:
    input:
        pairs=f"{RESULTS}/data/{{dataset}}.parquet",
        model=inputs.encoder,
    output:
        embedding=f"{RESULTS}/embeddings/{{dataset}}.arrow",
    log:
        f"{RESULTS}/logs/embed/{{dataset}}.log",
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        model=options.encoder,
        batch_size=study.embedding.batch_size,
        reads=options.encoder_reads,
        code=code_identity("embed"),
    message:
        "Embed {wildcards.dataset}"
    shell:
        "stage embed --record {params.code} {output:q} --"
        " --pairs {input.pairs:q} --model {params.model:q} --batch-size {params.batch_size} {params.reads}"
        " --out {output.embedding:q} &> {log:q}"


rule pool_sheet:
    input:
        pool=f"{RESULTS}/data/pools/{plan.pool}.parquet",
        category=f"{RESULTS}/labels/{plan.pool}/category.parquet",
        behaviour=f"{RESULTS}/labels/{plan.pool}/behaviour.parquet",
    output:
        sheet=f"{RESULTS}/annotation/sheet.csv",
        guide=f"{RESULTS}/annotation/guide.txt",
    log:
        f"{RESULTS}/logs/pool_sheet.log",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        rows=study.labels.annotation_rows,
        seed=study.seed,
        code=code_identity("pool_sheet"),
    message:
        "Draw the sheet in which people label pool rows"
    shell:
        "stage pool_sheet --record {params.code} {output:q} --"
        " --pool {input.pool:q} --category {input.category:q} --behaviour {input.behaviour:q}"
        " --rows {params.rows} --seed {params.seed} --out-sheet {output.sheet:q} --out-guide {output.guide:q} &> {log:q}"


rule label_agreement:
    input:
        unpack(inputs.agreement),
    output:
        csv=f"{RESULTS}/agreement/{plan.pool}.csv",
        md=f"{RESULTS}/agreement/{plan.pool}.md",
    log:
        f"{RESULTS}/logs/label_agreement/{plan.pool}.log",
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        files=options.agreement_files,
        options=as_json({"study": study.study, "synthetic": study.synthetic, "pool": plan.pool}),
        code=code_identity("label_agreement"),
    message:
        f"Say how far the labels of pool {plan.pool} agree"
    shell:
        "stage label_agreement --record {params.code} {output:q} --"
        " {params.files} --options {params.options:q} --out-csv {output.csv:q} --out-md {output.md:q}"
        " &> {log:q}"
