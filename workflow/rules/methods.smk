"""What a run's jobs ask for by its method: its subset, the base data that it keeps, its features and options.

Functions only; each takes wildcards and reads the checked config.
"""

@functools.cache
def method(name):
    return study.method(name)


# By their last part: who keeps part of the base data, who writes what it selected, whose adapter is a transformed one, or one that was trained on.
NAMES = sorted({run.sampler for run in {*RUNS, *TRAINED}})
FILTERING = [name for name in NAMES if method(name).filter]
SELECTING = [name for name in NAMES if plugin_constant("trainer", method(name).trainer, "SELECTS", False)]
TRANSFORMED = [name for name in NAMES if method(name).transform]
TRAINED_ON = [name for name in NAMES if method(name).then]
# The name that each sampler's subsets go by, and the method that says its options.
PICKERS = {method(name).picker: method(name) for name in NAMES}


def run_of(wildcards):
    return Run(wildcards.model, wildcards.pool, wildcards.sampler, int(wildcards.n), int(wildcards.trial))


def subset_file(wildcards):
    """The run's subset; none where its trainer picks from the whole pool."""
    stem = subset(study, run_of(wildcards))
    return f"{RESULTS}/subsets/{stem}.csv" if stem else []


def picker(name):
    """The method whose sampler makes the subsets of this name; a sampler that no run names is one too."""
    return PICKERS.get(name) or method(name)


def sampler_features(wildcards):
    return feature_files(picker(wildcards.sampler).needs("sampler"), wildcards.pool, wildcards.get("model"))


def sampler_options(wildcards):
    return as_json(picker(wildcards.sampler).options("sampler"))


def plugin_features(kind):
    """The features that the trainer or filter of a run's method reads, for `input`."""
    return lambda wildcards: list(_plugin_features(kind, wildcards).values())


def plugin_feature_options(kind):
    """The same, as the program's options."""
    return lambda wildcards: options(_plugin_features(kind, wildcards))


def _plugin_features(kind, wildcards):
    return feature_files(method(wildcards.sampler).needs(kind), wildcards.pool, wildcards.model)


def training_options(wildcards):
    """All that a trainer is told: the study's options, how the model is prompted, the method's own, and n."""
    part = method(wildcards.sampler)
    model = study.models[wildcards.model]
    own = part.options("trainer") | {"trainer": part.trainer, "n": int(wildcards.n)}
    return as_json(study.training.model_dump() | prompt_options(model) | own)


def second_training_options(wildcards):
    """All that the plain trainer is told of a second task."""
    return as_json(study.training.model_dump() | prompt_options(study.models[wildcards.model]) | {"trainer": "sft"})


def filter_options(wildcards):
    training = json.loads(training_options(wildcards))
    return as_json(training | method(wildcards.sampler).options("filter"))


def kept_file(wildcards):
    """What a method's filter says of the base data: the same for every n and trial that it does not depend on."""
    part = method(wildcards.sampler)
    if not part.filter:
        return []
    reads_subset = plugin_constant("filter", part.filter, "SAFETY", False)
    seeded = reads_subset and part.seeded or plugin_constant("filter", part.filter, "SEEDED", False)
    n, trial = (wildcards.n if reads_subset else 0), (wildcards.trial if seeded else 0)
    return f"{RESULTS}/kept/{wildcards.model}/{wildcards.pool}/{wildcards.sampler}/n{n}/t{trial}.csv"


def filter_subset(wildcards):
    """The subset that a filter reads, if it reads one."""
    return (
        subset_file(wildcards) if plugin_constant("filter", method(wildcards.sampler).filter, "SAFETY", False) else []
    )


def source_adapter(wildcards):
    """The folder of the adapter that a transform takes, or that is trained on."""
    of = method(wildcards.sampler).of
    return f"{RESULTS}/runs/{wildcards.model}/{wildcards.pool}/{of}/n{wildcards.n}/t{wildcards.trial}"


def pretrained(wildcards):
    """The model that the run's model was aligned from, where its transform asks for it."""
    return (
        study.models[study.models[wildcards.model].pretrained] if method(wildcards.sampler).needs_pretrained else None
    )


# What filters make and what trainers read beside it: settled, like data and subsets, before anything is trained.
KEPT = sorted({kept_file(argparse.Namespace(**dataclasses.asdict(run))) for run in TRAINED if run.sampler in FILTERING})
TRAINING_FEATURES = sorted(
    {
        path
        for run in TRAINED
        for path in feature_files(method(run.sampler).needs("trainer"), run.pool, run.model).values()
    }
)
