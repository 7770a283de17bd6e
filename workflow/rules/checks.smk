"""The publication's next checks: what changes on other harmful prompts, with labels by another judge, after a second task.

Inputs: scores.parquet; of pools that hold the same rows and are labelled by different judges, labels and subsets.
Outputs: checks.md.
Costs: CPU seconds. Only for a study with the experiment `checks` or `relabelling`.
"""


def relabelled():
    """The first pool of `relabelling`, and those of the same rows that another judge labels: pool -> judge."""
    if not study.experiments.relabelling:
        return {}
    first, *others = study.experiments.relabelling.pools
    rows = [study.pools[name].model_dump(exclude={"behaviour"}) for name in (first, *others)]
    same = [name for name, found in zip(others, rows[1:], strict=True) if found == rows[0]]
    return {name: labeller(name) for name in (first, *same) if name == first or labeller(name) != labeller(first)}


CHECKED = [experiment for experiment in (study.experiments.checks, study.experiments.relabelling) if experiment]
RELABELLED = relabelled()
BEHAVIOURS = [f"{RESULTS}/labels/{pool}/behaviour.parquet" for pool in RELABELLED] if len(RELABELLED) > 1 else []
# The subsets of both pools, [pool, sampler, n, trial, file].
RELABELLED_SUBSETS = sorted(
    [run.pool, run.sampler, run.n, run.trial, f"{RESULTS}/subsets/{subset(study, run)}.csv"]
    for run in TRAINED
    if BEHAVIOURS and run.pool in RELABELLED and run.n and subset(study, run)
)


def checks_options():
    experiment = CHECKED[0]
    return {
        "study": study.study,
        "synthetic": study.synthetic,
        "model": experiment.models[0],
        "pool": experiment.pools[0],
        "n": sorted(experiment.n),
        "metrics": study.metrics.model_dump() | other_metrics(),
        "labellers": RELABELLED,
        "subsets": RELABELLED_SUBSETS,
        "then": {name: [method(name).of, method(name).then] for name in TRAINED_ON},
        "stand_ins": stand_ins(study.judges) | comparing_stand_ins(),
    }


rule checks:
    input:
        settled,
        scores=f"{RESULTS}/scores.parquet",
        labels=BEHAVIOURS,
        subsets=[file for *_, file in RELABELLED_SUBSETS],
    output:
        md=f"{RESULTS}/checks.md",
    log:
        f"{RESULTS}/logs/checks.log",
    benchmark:
        f"{RESULTS}/benchmarks/checks.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=lambda wildcards: as_json(checks_options()),
        labels=shlex.join(f"{pool}={file}" for pool, file in zip(RELABELLED, BEHAVIOURS)),
        code=code_identity("checks"),
    message:
        "Write what the checks beyond the paper show"
    shell:
        "stage checks --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --labels {params.labels} --out {output.md:q} &> {log:q}"


CHECKS = rules.checks.output if CHECKED else []
