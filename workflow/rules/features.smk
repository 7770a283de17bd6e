"""Features that belong to a model: their paths, by the word that a plug-in NEEDS. Functions only, as in inputs.smk."""

WARM_UP = f"{RESULTS}/features/{{model}}/warm_up"
GRADIENTS = f"{RESULTS}/features/{{model}}/gradients/{{rows}}.arrow"
LOGPROBS = f"{RESULTS}/features/{{model}}/logprobs/{{rows}}.parquet"
MODEL_FEATURES = ("gradients", "base-gradients", "reference-gradients", "logprobs")


def model_features(model, pool):
    """Paths of a model's features by the word in NEEDS, each by the option that takes it; `logprobs` are two files."""
    return {
        "gradients": {"gradients": GRADIENTS.format(model=model, rows=f"pools/{pool}")},
        "base-gradients": {"base-gradients": GRADIENTS.format(model=model, rows="base")},
        "reference-gradients": {"reference-gradients": GRADIENTS.format(model=model, rows="references")},
        "logprobs": {"logprobs": [LOGPROBS.format(model=model, rows=rows) for rows in (f"pools/{pool}", "base")]},
    }


def warm_up_options(wildcards):
    """The study's training options, for a short run that nothing is held out of."""
    training = study.training.model_dump() | {"validation_rows": 0, "num_train_epochs": study.gradients.warm_up_epochs}
    return as_json(training | prompt_options(study.models[wildcards.model]))


def given_options(wildcards, *names):
    """How a model is given rows and their responses, and the keys of `gradients` that are named."""
    training = study.training.model_dump(include={"max_length", "dtype", "load_in_8bit"})
    ours = study.gradients.model_dump(include={"batch_size", *names})
    return as_json(training | ours | prompt_options(study.models[wildcards.model]))


def rows_limit(wildcards):
    """Of references some are drawn; of everything else all rows are taken."""
    drawn = wildcards.rows == "references"
    return options(
        {"limit": str(study.gradients.reference_rows), "seed": str(seed(study.seed, "rows", 0))} if drawn else {}
    )
