"""The advice: which sampler and n keep the fine-tuned model within the limits of the config's `targets`.

Inputs: scores.parquet; the `sampling` experiment alone is looked at.
Outputs: advice.{txt,csv,md}, figures/advice.{pdf,svg,png,csv}.
Costs: CPU seconds; a minute where a limit is on attack success over thousands of prompts. A study without the
experiment, or without any limit, has no advice.
"""


rule advice:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
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
    benchmark:
        f"{RESULTS}/benchmarks/advice.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: artefact_options("advice"),
        code=code_identity("advice"),
    message:
        "Say which sampler and n keep within the targets"
    shell:
        "stage advice --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q}"
        " --out-txt {output.txt:q} --out-csv {output.csv:q} --out-md {output.md:q}"
        " --out-pdf {output.pdf:q} --out-svg {output.svg:q} --out-png {output.png:q} --out-data {output.data:q}"
        " &> {log:q}"


LIMITS_SET = any(limit is not None for limit in study.targets.model_dump().values())
ADVICE = rules.advice.output if available("advice") and LIMITS_SET else []
