"""What is said of rows before they are picked: files and options of labels, embeddings and what a model says.

Functions only, as in inputs.smk.
"""


def embedding_files():
    name = study.embedding.model
    if name in study.sources:
        return [source_manifest(name)]
    return [] if name == "minilm" else sources.model_files(name)


def embedding_model():
    return source_folder(study.embedding.model) if study.embedding.model in study.sources else study.embedding.model


def category_template():
    """The labeller's template: a file, or the name of one of Ballast's own."""
    named = study.labels.category_template or "category-llm"
    return sources.own_template(named) or named


def category_inputs(wildcards):
    """What the category labeller reads: a model and its template, or the references and embeddings."""
    if study.labels.category == "llm":
        return {"model": language_model_files(study.labels.category_model), "template": category_template()}
    return {
        "embedding": f"{RESULTS}/embeddings/pools/{wildcards.pool}.arrow",
        "references": f"{RESULTS}/data/references.parquet",
        "reference_embedding": f"{RESULTS}/embeddings/references.arrow",
    }


def category_options(wildcards):
    if study.labels.category == "llm":
        model = json.loads(language_model_options(study.labels.category_model))
        return as_json(model | {"template": category_template(), "max_unparsable": study.labels.max_unparsable})
    return "{}"


def category_files(wildcards):
    files = category_inputs(wildcards) if study.labels.category == "cossim" else {}
    return options({name.replace("_", "-"): path for name, path in files.items()})


def category_code():
    backend = study.labels.category_model and study.labels.category_model.backend
    return code_identity("category", *([f"backends/{backend}"] if study.labels.category == "llm" else []))


def feature_files(needs, pool, model=None):
    """Paths of features of a pool by the option that takes them; some are what a model says."""
    labels, data = f"{RESULTS}/labels/{pool}", f"{RESULTS}/data"
    gradients, logprobs = (f"{RESULTS}/features/{model}/{kind}" for kind in ("gradients", "logprobs"))
    paths = {
        "behaviour": {"behaviour": f"{labels}/behaviour.parquet"},
        "category": {"category": f"{labels}/category.parquet"},
        "embedding": {"embedding": f"{RESULTS}/embeddings/pools/{pool}.arrow"},
        "references": {
            "references": f"{data}/references.parquet",
            "reference-embedding": f"{RESULTS}/embeddings/references.arrow",
        },
        "texts": {"texts": f"{data}/pools/{pool}.parquet"},
        "base-texts": {"base-texts": f"{data}/base.parquet"},
        "gradients": {"gradients": f"{gradients}/pools/{pool}.arrow"},
        "base-gradients": {"base-gradients": f"{gradients}/base.arrow"},
        "reference-gradients": {"reference-gradients": f"{gradients}/references.arrow"},
        "logprobs": {"logprobs": f"{logprobs}/pools/{pool}.parquet"},
        "base-logprobs": {"base-logprobs": f"{logprobs}/base.parquet"},
    }
    return {name: path for need in needs for name, path in paths[need].items()}


def model_feature(file):
    """Model, kind and dataset of a file that holds what a model says of rows; None of another feature."""
    place, *model_kind_rows = os.path.splitext(os.path.relpath(file, RESULTS))[0].split("/", 3)
    return model_kind_rows if place == "features" else None


WARM_UP = f"{RESULTS}/features/{{model}}/warm_up"


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
