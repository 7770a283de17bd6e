"""The gradient report: what gradients say of the pool's rows, beside what runs with such rows were measured to do.

Inputs: scores.parquet; labels, gradients and log-probabilities of the pool, gradients of base data; subsets of samplers.
Outputs: gradients.{md,csv}, figures/gradients.{pdf,svg,png,csv}.
Costs: the features of gradients.smk for one model and pool, then CPU seconds. Not part of `all`: `snakemake
gradient_report`. It shows the model and pool of the experiments `behaviour` and `sampling`; a study needs one of them.
"""

SHOWN = [grid for grid in (study.experiments.behaviour, study.experiments.sampling) if grid]
FEATURES_SHOWN = ("behaviour", "category", "gradients", "base-gradients", "logprobs")


def report_experiment():
    """Both experiments as one, for the model and pool that the first of them names first."""
    if not SHOWN:
        raise BallastError("the gradient report shows experiments.behaviour and experiments.sampling; give one of them")
    merged = {"models": SHOWN[0].models[:1], "pools": SHOWN[0].pools[:1], "trials": max(grid.trials for grid in SHOWN)}
    for axis in ("samplers", "n"):
        merged[axis] = list(dict.fromkeys(value for grid in SHOWN for value in getattr(grid, axis)))
    return merged


def report_features():
    shown = report_experiment()
    return feature_files(FEATURES_SHOWN, shown["pools"][0], shown["models"][0])


def report_subsets():
    """Of each sampler and n the subsets of its runs; not of methods that also change how a model is trained."""
    shown, found = report_experiment(), {}
    for run in RUNS:
        part = method(run.sampler)
        plain = not (part.filter or part.of or part.whole_pool) and part.trainer == study.training.trainer
        if plain and run.n and [run.model] == shown["models"] and [run.pool] == shown["pools"]:
            found.setdefault((run.sampler, run.n), set()).add(f"{RESULTS}/subsets/{subset(study, run)}.csv")
    return [[*cell, sorted(files)] for cell, files in sorted(found.items())]


rule gradient_report:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        features=lambda wildcards: list(report_features().values()),
        subsets=lambda wildcards: [file for *_, files in report_subsets() for file in files],
    output:
        md=f"{RESULTS}/gradients.md",
        csv=f"{RESULTS}/gradients.csv",
        pdf=f"{RESULTS}/figures/gradients.pdf",
        svg=f"{RESULTS}/figures/gradients.svg",
        png=f"{RESULTS}/figures/gradients.png",
        data=f"{RESULTS}/figures/gradients.csv",
    log:
        f"{RESULTS}/logs/gradient_report.log",
    benchmark:
        f"{RESULTS}/benchmarks/gradient_report.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        options=lambda wildcards: artefact_options("gradients", report_experiment()),
        picked=lambda wildcards: json.dumps(report_subsets()),
        features=lambda wildcards: options(report_features()),
        code=code_identity("gradient_report"),
    message:
        "Lay gradients beside what was measured"
    shell:
        "stage gradient_report --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --picked {params.picked:q} {params.features}"
        " --out-md {output.md:q} --out-csv {output.csv:q} --out-pdf {output.pdf:q} --out-svg {output.svg:q}"
        " --out-png {output.png:q} --out-data {output.data:q} &> {log:q}"
