"""What rules ask for: the files and options of a dataset, a model, a judge, a run, a table.

Functions only; each takes wildcards or a name and reads the checked config. Files are inputs and options are params,
so whatever a job depends on is seen by Snakemake.
"""


def as_json(section):
    """Options as one stable JSON text: equal options are equal params, whatever the order of keys in the config."""
    return json.dumps(section if isinstance(section, dict) else section.model_dump(), sort_keys=True)


def options(arguments):
    """`--name path` for each named file that there is."""
    return " ".join(f"--{name} {shlex.quote(path)}" for name, path in arguments.items() if path)


def data_file(data):
    return f"{WORLD}/data/{data.world}" if data.world else data.path


def dataset_format(wildcards):
    """The reader that the config names, or the one of the dataset's usual source."""
    kind, data = DATASETS[wildcards.dataset]
    usual = {"pool": "alpaca", "base": "alpaca", "references": "beavertails"}
    return data.format or usual.get(kind, wildcards.dataset.split("/")[-1])


def model_template(model):
    return model.template or sources.own_template("alpaca-shaped")


def model_folder(source):
    return f"{WORLD}/models/{source.world}" if source.world else source.path


def model_files(source):
    """Every file that defines a model, so that another model under the same name is another input."""
    if source.world:
        names = JUDGE_FILES if source.world in sources.WORLD_JUDGES else MODEL_FILES
        return [f"{WORLD}/models/{source.world}/{name}" for name in names]
    return sources.model_files(source.path)


def judge_template(name):
    """The judge's prompt template: the config's, else Ballast's own, else none for a judge that takes none."""
    return study.judges[name].template or sources.own_template(name)


def judge_files(name):
    """A judge's model, prompt template and canaries; none of them for a judge that is a rule."""
    judge = study.judges[name]
    files = model_files(judge) if judge.world or judge.path else []
    canaries = data_file(judge.canaries) if judge.canaries else None
    return files + [file for file in (judge_template(name), canaries) if file]


def judge_options(name):
    judge = study.judges[name]
    model = {"model": model_folder(judge)} if judge.world or judge.path else {}
    return as_json(judge.model_dump(include={"batch_size", "max_length"}) | model | {"template": judge_template(name)})


def canaries_option(name):
    canaries = study.judges[name].canaries
    return f"--canaries {shlex.quote(data_file(canaries))}" if canaries else ""


def category_inputs(wildcards):
    """What the category labeller reads: a model and its template, or the references and embeddings."""
    if study.labels.category == "llm":
        return {"model": model_files(study.labels.category_model), "template": CATEGORY_TEMPLATE}
    return {
        "embedding": f"{RESULTS}/embeddings/pools/{wildcards.pool}.parquet",
        "references": f"{RESULTS}/data/references.parquet",
        "reference_embedding": f"{RESULTS}/embeddings/references.parquet",
    }


def category_options(wildcards):
    if study.labels.category == "llm":
        model = {"model": model_folder(study.labels.category_model), "template": CATEGORY_TEMPLATE}
        return as_json(model | {"batch_size": study.labels.batch_size, "max_length": 4096})
    return "{}"


def category_files(wildcards):
    files = category_inputs(wildcards) if study.labels.category == "cossim" else {}
    return options({name.replace("_", "-"): path for name, path in files.items()})


def features(wildcards):
    """Paths of the features that this sampler reads, by the option that takes them."""
    paths = {
        "behaviour": {"behaviour": f"{RESULTS}/labels/{wildcards.pool}/behaviour.parquet"},
        "category": {"category": f"{RESULTS}/labels/{wildcards.pool}/category.parquet"},
        "embedding": {"embedding": f"{RESULTS}/embeddings/pools/{wildcards.pool}.parquet"},
        "references": {
            "references": f"{RESULTS}/data/references.parquet",
            "reference-embedding": f"{RESULTS}/embeddings/references.parquet",
        },
    }
    needs = constant(f"samplers/{wildcards.sampler}", "NEEDS")
    return {name: path for need in needs for name, path in paths[need].items()}


def adapter(wildcards):
    """The run's adapter files; a model as it is has none."""
    if from_path(wildcards.run).sampler == AS_IS:
        return []
    folder = f"{RESULTS}/runs/{wildcards.run}"
    return [f"{folder}/adapter_model.safetensors", f"{folder}/adapter_config.json"]


def run_model(wildcards):
    return study.models[from_path(wildcards.run).model]


def available(artefact):
    return artefact not in EXPERIMENT or getattr(study.experiments, EXPERIMENT[artefact]) is not None


def artefact_options(artefact):
    """The part of the config that one table or figure shows; nothing else makes it run again."""
    experiment = getattr(study.experiments, EXPERIMENT.get(artefact, ""), None)
    labels = study.labels
    everything = {
        "study": study.study,
        "synthetic": study.synthetic,
        "redact": study.redact,
        "judges": {name: metric.judge for name, metric in study.metrics},
        "benchmarks": {name: metric.benchmark for name, metric in study.metrics},
        "labellers": {"behaviour": labels.behaviour},
        "model_labels": {name: model.label or name for name, model in study.models.items()},
        "stand_ins": {name: text for name in study.judges if (text := sources.stand_in(name, study.judges[name]))},
    }
    if experiment:
        everything["experiment"] = experiment.model_dump()
    return as_json(options_for(artefact, everything))


def artefact_inputs(artefact):
    labels = f"{RESULTS}/labels/{POOL}/behaviour.parquet"
    return {
        "table-3": [labels, f"{RESULTS}/data/pools/{POOL}.parquet"],
        "figure-5": [labels],
    }.get(artefact, [f"{RESULTS}/scores.parquet"])
