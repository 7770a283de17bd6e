"""CPU seconds of each method of the experiment `beyond`, beside those of plain training.

Inputs: the runs' adapters. The times are in the logs of their jobs, which are nobody's output and so no rule's input:
they are measured, and nothing that is made depends on them.
Outputs: spent.md, spent.csv; unlike every other file here they differ from one run of the study to the next.
Costs: a CPU second.
"""

EXPERIMENT["spent"] = "beyond"
SPENT = [f"{RESULTS}/spent.md"] if available("spent") else []


def beyond_runs():
    """The runs of the experiment."""
    grid = study.experiments.beyond
    return [
        run
        for run in RUNS
        if run.model in grid.models
        and run.pool in grid.pools
        and run.sampler in grid.samplers
        and run.n in (0, *grid.n)
        and run.trial < grid.trials
    ]


def spent_logs():
    """The logs of each run's jobs by stage, and of the jobs that all runs of a method share."""
    own, shared = [], {}
    for run in beyond_runs():
        logs, trained, common = {"sampler": run.sampler, "n": run.n}, run, shared.setdefault(run.sampler, set())
        if method(run.sampler).of:
            logs["transform"] = log_of("train_on" if method(run.sampler).then else "transform", run.path)
        while of := method(trained.sampler).of:
            trained = dataclasses.replace(trained, sampler=of)
        logs["train"] = log_of("train", trained.path)
        if picked := subset(study, trained):
            logs["sample"] = log_of("sample", picked)
        wildcards = argparse.Namespace(**dataclasses.asdict(trained))
        if kept := kept_file(wildcards):
            log = log_of("filter", os.path.relpath(kept, f"{RESULTS}/kept").removesuffix(".csv"))
            if kept.endswith("/n0/t0.csv"):
                common.add(log)
            else:
                logs["filter"] = log
        part = method(trained.sampler)
        for kind in ("sampler", "filter", "trainer"):
            needs = part.needs(kind) if getattr(part, kind) else ()
            for file in feature_files(needs, trained.pool, trained.model).values():
                common |= set(feature_logs(file))
        own.append(logs)
    return {"runs": own, "shared": {name: sorted(logs) for name, logs in shared.items()}}


def feature_logs(file):
    """The logs of the jobs behind a feature that a model says; none of another feature."""
    place = os.path.relpath(file, RESULTS).split("/")
    if place[0] != "features":
        return []
    _, model, kind, *rows = place
    warm_up = [log_of("warm_up", model)] if kind == "gradients" else []
    return [*warm_up, log_of(kind, "/".join([model, *rows]).rsplit(".", 1)[0])]


def log_of(stage, place):
    return f"{RESULTS}/logs/{stage}/{place}.log"


rule spent:
    input:
        settled,
        lambda wildcards: [f"{RESULTS}/runs/{run.path}/adapter_model.safetensors" for run in beyond_runs()],
    output:
        md=f"{RESULTS}/spent.md",
        csv=f"{RESULTS}/spent.csv",
    log:
        f"{RESULTS}/logs/spent.log",
    benchmark:
        f"{RESULTS}/benchmarks/spent.jsonl"
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=lambda wildcards: artefact_options("spent"),
        logs=lambda wildcards: as_json(spent_logs()),
        code=code_identity("spent"),
    message:
        "Say how many CPU seconds each method took"
    shell:
        "stage spent --record {params.code} {output:q} --"
        " --options {params.options:q} --logs {params.logs:q} --out-md {output.md:q} --out-csv {output.csv:q}"
        " &> {log:q}"
