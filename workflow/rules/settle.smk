"""The barrier: whatever is made before training is settled before anything behind it is decided.

Inputs: every source, world model, dataset and subset that training, generation or judging reads.
Outputs: settled.txt. Nothing reads it; that it is made holds back every rule with `settled` among its inputs.
Costs: nothing. Snakemake alone would train again after any job upstream, even one that made the same bytes again.
"""

# What training, generation and judging read of the data.
NEEDED_DATA = expand(
    "{results}/data/{name}.parquet",
    results=RESULTS,
    name=[
        "base",
        *(f"tasks/{task}" for task in sorted({method(name).then for name in TRAINED_ON})),
        *(f"benchmarks/{name}" for name in study.benchmarks),
        *(f"pools/{name}" for name in sorted({run.pool for run in RUNS})),
    ],
)
BARRIER = f"{RESULTS}/settled.txt"
# A first run has nothing to spare, and makes the barrier for the next one.
UNSETTLED = [] if os.path.exists(BARRIER) else BARRIER


def models_used():
    """The models that runs are of, are measured as they are, or that a transform compares with."""
    names = {*study.as_is, *(run.model for run in RUNS)}
    aligned_from = {study.models[run.model].pretrained for run in RUNS if method(run.sampler).needs_pretrained}
    return [study.models[name] for name in sorted({*names, *aligned_from})]


def before_training():
    """The files made by this workflow that rules behind the barrier read."""
    world = [
        file
        for place in (*models_used(), *filter(is_model, study.judges.values()), *COMPARING)
        if place.world
        for file in model_files(place)
    ]
    fetched = [source_manifest(name) for name in sources.used(study)]
    return sorted({*world, *fetched, *NEEDED_DATA, *SUBSETS, *KEPT, *TRAINING_FEATURES})


def settled(wildcards):
    """No file: the job is decided once the barrier is there, by what its inputs then hold.

    A dry run, or a job on another node, cannot wait: it counts what is pending as if all of it came out otherwise.
    """
    if not UNSETTLED and workflow.is_main_process and not workflow.dryrun:
        checkpoints.settle.get()
    return []


checkpoint settle:
    input:
        before_training(),
    output:
        BARRIER,
    log:
        f"{RESULTS}/logs/settle.log",
    benchmark:
        f"{RESULTS}/benchmarks/settle.jsonl"
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=100,
        runtime=1,
    params:
        files=len(before_training()),
    message:
        "Settle what is made before training"
    shell:
        "echo {params.files} files settled > {output:q} 2> {log:q}"
