"""Advise which sampler and n keep within the config's `targets`; warn of signatures of trouble.

Inputs: scores.parquet. For trouble also each run's training.json and responses, the subsets, the pool's labels, the
sheet of labels.annotations, and the mini world's truth about its own pool.
Outputs: advice.{txt,csv,md}, figures/advice.{pdf,svg,png,csv}; trouble.{txt,csv,md}. Both texts end a run.
Costs: CPU seconds; a minute if a limit is on attack success over thousands of prompts. A study without the experiment
`sampling`, or without any limit, has no advice.
"""


rule advice:
    input:
        settled,
        scores=lambda wildcards: documents.artefact_inputs("advice"),
    output:
        txt=f"{RESULTS}/advice.txt",
        csv=f"{RESULTS}/advice.csv",
        md=f"{RESULTS}/advice.md",
        pdf=f"{RESULTS}/figures/advice.pdf",
        svg=report(
            f"{RESULTS}/figures/advice.svg",
            caption="../report/figure.rst",
            category="Figures",
            labels={"figure": "advice"},
        ),
        png=f"{RESULTS}/figures/advice.png",
        data=f"{RESULTS}/figures/advice.csv",
    log:
        f"{RESULTS}/logs/advice.log",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: documents.artefact("advice"),
        code=code_identity("advice"),
    message:
        "Say which sampler and n keep within the targets"
    shell:
        "stage advice --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q}"
        " --out-txt {output.txt:q} --out-csv {output.csv:q} --out-md {output.md:q}"
        " --out-pdf {output.pdf:q} --out-svg {output.svg:q} --out-png {output.png:q} --out-data {output.data:q}"
        " &> {log:q}"


ADVICE = rules.advice.output if documents.advises else []


rule trouble:
    input:
        settled,
        unpack(documents.trouble_labels),
        scores=f"{RESULTS}/scores.parquet",
        training=[f"{plan.folder(run)}/training.json" for run in plan.runs],
        responses=[f"{plan.folder(run)}/responses.parquet" for run in plan.runs],
        subsets=plan.subsets,
    output:
        txt=f"{RESULTS}/trouble.txt",
        csv=f"{RESULTS}/trouble.csv",
        md=f"{RESULTS}/trouble.md",
    log:
        f"{RESULTS}/logs/trouble.log",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards, output: os.path.dirname(output.txt),
        runs=lambda wildcards: documents.trouble_runs(),
        canaries=as_json({name: bool(study.judges[name].canaries) for name in plan.judges_used}),
        labels=lambda wildcards: as_arguments(documents.trouble_labels()),
        options=lambda wildcards: documents.artefact("trouble"),
        code=code_identity("trouble"),
    message:
        "Look for signatures of trouble"
    shell:
        "stage trouble --record {params.code} {output:q} --"
        " --options {params.options:q} --results {params.results:q} --runs {params.runs:q}"
        " --canaries {params.canaries:q} --scores {input.scores:q} {params.labels}"
        " --out-txt {output.txt:q} --out-csv {output.csv:q} --out-md {output.md:q} &> {log:q}"


TROUBLE = rules.trouble.output if documents.available("trouble") else []
