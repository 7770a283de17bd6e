"""What is asked beyond the paper: pairwise comparisons, the checks, what methods cost, the gradient report.

Functions only; each takes wildcards or a name and reads the checked config.
"""


def pairwise_template(pairwise):
    """The template that compares in words: the config's, else Ballast's own."""
    return pairwise.template or sources.own_template("pairwise")


def pairwise_inputs(wildcards):
    """What is compared: the responses of the run and of its counterpart, or their scores; and who compares in words."""
    pairwise = study.pairwise[wildcards.pairwise]
    other = opponent(study, wildcards.run, pairwise.against, MEASURED)
    if pairwise.by == "scores":
        file = f"scores/{wildcards.benchmark}.{pairwise.judge}.parquet"
    else:
        file = "responses.parquet"
    files = {"ours": f"{RESULTS}/runs/{wildcards.run}/{file}", "theirs": f"{RESULTS}/runs/{other}/{file}"}
    if pairwise.by == "llm":
        files |= {"model": language_model_files(pairwise.model), "template": pairwise_template(pairwise)}
    return files


def pairwise_options(name):
    pairwise = study.pairwise[name]
    if pairwise.by == "scores":
        return as_json({"by": "scores", "direction": pairwise.direction})
    model = json.loads(language_model_options(pairwise.model))
    more = {"by": "llm", "template": pairwise_template(pairwise), "max_unparsable": pairwise.max_unparsable}
    return as_json(model | more)


def pairwise_code(name):
    model = study.pairwise[name].model
    return code_identity("pairwise", *([f"backends/{model.backend}"] if model else []))


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
            if os.path.basename(os.path.dirname(kept)) == "n0" and kept.endswith("t0.csv"):
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
    said = model_feature(file)
    if said is None:
        return []
    model, kind, rows = said
    warm_up = [log_of("warm_up", model)] if kind == "gradients" else []
    return [*warm_up, log_of(kind, f"{model}/{rows}")]


def log_of(stage, place):
    return f"{RESULTS}/logs/{stage}/{place}.log"


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
RELABELLED_LABELS = [f"{RESULTS}/labels/{pool}/behaviour.parquet" for pool in RELABELLED] if len(RELABELLED) > 1 else []
# The subsets of both pools, [pool, sampler, n, trial, file].
RELABELLED_SUBSETS = sorted(
    [run.pool, run.sampler, run.n, run.trial, f"{RESULTS}/subsets/{subset(study, run)}.csv"]
    for run in TRAINED
    if RELABELLED_LABELS and run.pool in RELABELLED and run.n and subset(study, run)
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
