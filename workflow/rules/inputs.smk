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


def source_folder(name):
    return f"{RESULTS}/sources/{name}"


def source_manifest(name):
    """What stands for a source's files: it holds their digests, so its content changes exactly when theirs does."""
    return f"{source_folder(name)}/source.json"


def source_local(wildcards):
    """Files of the copy on this machine that the config names, so that a changed copy is fetched again."""
    source = study.sources[wildcards.source]
    if not source.local:
        return []
    local = sources.local_path(wildcards.source, source.local)
    return list(map(str, sources.local_files(local).values())) if source.kind == "model" else local


def data_file(data):
    """The path of a dataset's file."""
    if data.source:
        return f"{source_folder(data.source)}/{sources.file_name(data.source, study.sources[data.source])}"
    return f"{WORLD}/data/{data.world}" if data.world else data.path


def data_input(data):
    return source_manifest(data.source) if data.source else data_file(data)


def dataset_format(dataset):
    """The reader that the config names, or the one of the source, or of the dataset's usual source."""
    kind, data = DATASETS[dataset]
    usual = {"pool": "alpaca", "base": "alpaca", "references": "beavertails"}
    given = data.format or (data.source and study.sources[data.source].format)
    # A person's own file is read as what its columns say.
    own = "auto" if kind in ("pool", "base") and not data.world else None
    return given or own or usual.get(kind, dataset.split("/")[-1])


def dataset_options(wildcards):
    data = DATASETS[wildcards.dataset][1]
    drawn = {"order-seed": str(seed(study.seed, "rows", 0))} if data.order == "random" else {}
    columns = {"columns": json.dumps(data.columns, sort_keys=True)} if data.columns else {}
    checked = DATASETS[wildcards.dataset][0] in ("pool", "base") and study.checks
    share = {"unreadable": str(study.checks.unreadable)} if checked else {}
    return options({"rows": str(data.rows or ""), **drawn, **columns, **share})


def without_leaks(wildcards):
    """The benchmarks whose prompts no row of this dataset may ask, where the study drops leaks."""
    drops = study.checks and study.checks.leaks == "drop"
    if DATASETS[wildcards.dataset][0] not in ("pool", "base") or not drops:
        return []
    return expand("{results}/data/benchmarks/{name}.parquet", results=RESULTS, name=study.benchmarks)


def inspection_options():
    """The files to look at, how they are read, what is asked of them, and what they may be."""
    datasets = [
        {"name": name, "path": data_file(data), "format": dataset_format(name), "columns": data.columns}
        for name, data in INSPECTED.items()
    ]
    asked = {}
    for run in TRAINED:
        method = study.method(run.sampler)
        kind = (
            "T1" if method.sampler.endswith("-b") else method.sampler.upper() if method.sampler in BEHAVIOURS else "any"
        )
        pool = asked.setdefault(run.pool, {})
        pool[kind] = max(run.n, pool.get(kind, 0))
    checks = (study.checks or study_config.Checks()).model_dump()
    about = {"study": study.study, "checks": checks, "labeller": study.labels.behaviour}
    return as_json(about | {"datasets": datasets, "asked": asked})


def template_file(name):
    """The file of a prompt template that the config names: a source's, or a path."""
    return f"{source_folder(name)}/template.json" if name in study.sources else name


def template_input(name):
    return source_manifest(name) if name in study.sources else name


def model_template(model):
    return model.template or ALPACA_SHAPED


def prompt_options(model):
    """How a model is prompted: an Alpaca template, or its own chat template."""
    template = template_file(model_template(model)) if model.prompt == "alpaca" else None
    return {"prompt": model.prompt, "system": model.system, "template": template}


def model_folder(place):
    if place.source:
        return source_folder(place.source)
    return f"{WORLD}/models/{place.world}" if place.world else place.path


def world_model(name):
    """The files of a model of the mini world; none where another model starts from nothing."""
    names = JUDGE_FILES if name in sources.WORLD_JUDGES else MODEL_FILES
    return [f"{WORLD}/models/{name}/{file}" for file in names] if name else []


def model_files(place):
    """Every file that defines a model, so that another model under the same name is another input."""
    if place.source:
        return [source_manifest(place.source)]
    return world_model(place.world) if place.world else sources.model_files(place.path)


def model_inputs(model):
    """A model to fine-tune and the template that prompts it."""
    template = [template_input(model_template(model))] if model.prompt == "alpaca" else []
    return model_files(model) + template


def language_model_files(model):
    return [] if model.endpoint else model_files(model)


def language_model_options(model):
    """Options of a model that answers in words, without the place it comes from."""
    common = model.model_dump(include={"backend", "chat", "batch_size", "max_length", "dtype"})
    place = {"endpoint": model.endpoint.model_dump()} if model.endpoint else {"model": model_folder(model)}
    return as_json(common | place)


def is_model(judge):
    return bool(judge.world or judge.path or judge.source)


def judge_template(name):
    """The judge's prompt template: the config's, else Ballast's own, else none for a judge that takes none."""
    return study.judges[name].template or sources.own_template(name)


def judge_files(name):
    """A judge's model, prompt template and canaries; none of them for a judge that is a rule."""
    judge = study.judges[name]
    files = model_files(judge) if is_model(judge) else []
    canaries = [data_input(judge.canaries)] if judge.canaries else []
    template = judge_template(name)
    return files + canaries + ([template_input(template)] if template else [])


def judge_options(name):
    judge = study.judges[name]
    common = judge.model_dump(include={"backend", "batch_size", "max_length", "dtype", "max_unparsable"})
    model = {"model": model_folder(judge)} if is_model(judge) else {}
    template = judge_template(name)
    return as_json(common | model | {"template": template and template_file(template)})


def labeller(pool):
    """The judge that labels a pool's behaviour."""
    return study.pools[pool].behaviour or study.labels.behaviour


def judge_code(stage, name):
    """Code of a stage that judges: the stage, the judge and the backend that runs it."""
    return code_identity(stage, f"judges/{name}", f"backends/{study.judges[name].backend}")


def canaries_option(name):
    canaries = study.judges[name].canaries
    return f"--canaries {shlex.quote(data_file(canaries))}" if canaries else ""


def agreement_inputs(wildcards):
    """What the report compares: the pool's labels, and the references and a filled sheet where the study has them."""
    labels = f"{RESULTS}/labels/{POOL}"
    files = {
        "pool": f"{RESULTS}/data/pools/{POOL}.parquet",
        "category": f"{labels}/category.parquet",
        "behaviour": f"{labels}/behaviour.parquet",
    }
    if study.references:
        files["embedding"] = f"{RESULTS}/embeddings/pools/{POOL}.arrow"
        files["references"] = f"{RESULTS}/data/references.parquet"
        files["reference_embedding"] = f"{RESULTS}/embeddings/references.arrow"
    if study.labels.annotations:
        files["annotations"] = study.labels.annotations
    return files


def agreement_files(wildcards):
    return options({name.replace("_", "-"): path for name, path in agreement_inputs(wildcards).items()})


def adapter(wildcards):
    """The run's adapter files; a model as it is has none."""
    if from_path(wildcards.run).sampler == AS_IS:
        return []
    folder = f"{RESULTS}/runs/{wildcards.run}"
    return [f"{folder}/adapter_model.safetensors", f"{folder}/adapter_config.json"]


def run_model(wildcards):
    return study.models[from_path(wildcards.run).model]


def run_benchmarks(wildcards):
    """The benchmarks that the run's metrics need, and their files."""
    names = sorted({METRICS[metric]["benchmark"] for metric in MEASURED[wildcards.run]})
    return {name: f"{RESULTS}/data/benchmarks/{name}.parquet" for name in names}


def run_judgements(run):
    """The (benchmark, judge) pairs that a run's metrics need."""
    return sorted({(METRICS[name]["benchmark"], METRICS[name]["judge"]) for name in MEASURED[run]})


def run_scores(run):
    return [f"{RESULTS}/runs/{run}/scores/{benchmark}.{judge}.parquet" for benchmark, judge in run_judgements(run)]


def run_comparisons(run):
    """The files of a run in which it is compared with another one."""
    return [file for file, (_, judge) in zip(run_scores(run), run_judgements(run)) if judge in study.pairwise]


def other_metrics():
    """The sections of the metrics beyond the four that a run is measured by."""
    named = {name for names in MEASURED.values() for name in names}
    return {name: metric.model_dump() for name, metric in study.other_metrics.items() if name in named}


def available(artefact):
    return declared.available(study, artefact, other_metrics())


def artefacts(kind):
    """The tables, figures, claims or comparisons that the study's experiments give, by name."""
    return [name for name in declared.names(kind) if available(name)]


def stand_ins(judges):
    """The sentences that say what stands in for some judges, by judge."""
    return {name: text for name in judges if (text := sources.stand_in(name, study.judges[name]))}


def comparing_stand_ins():
    """What stands in for a language model that compares, by `pairwise`."""
    said = "{} is a tiny stand-in that answers in words, trained in the mini world."
    return {name: said.format(name) for name, each in study.pairwise.items() if each.model and each.model.world}


def artefact_options(artefact, runs_shown=None):
    """The part of the config that one table or figure shows; nothing else makes it run again.

    Its experiment is the one that it declares, or `runs_shown`: models, pools, samplers, n, trials.
    """
    named = declared.artefact(artefact).experiment
    experiment = getattr(study.experiments, named or "", None)
    if named and not (experiment or runs_shown):
        raise BallastError(f"{artefact} shows experiments.{named}, which the config leaves out")
    labels = study.labels
    everything = {
        "study": study.study,
        "synthetic": study.synthetic,
        "redact": study.redact,
        "judges": {name: metric.judge for name, metric in study.metrics},
        "benchmarks": {name: metric.benchmark for name, metric in study.metrics},
        "labellers": {"behaviour": labeller(POOL)},
        "targets": study.targets.model_dump(),
        "model_labels": {name: model.label or name for name, model in study.models.items()},
        "others": other_metrics(),
        "stand_ins": stand_ins(study.judges) | comparing_stand_ins(),
        "published": {name: model.published for name, model in study.models.items() if model.published},
    }
    if experiment or runs_shown:
        everything["experiment"] = runs_shown or experiment.model_dump()
    return as_json(declared.options_for(artefact, everything))


def claims_options():
    """What the claims are told: the options of each experiment that the study has."""
    told = {name.split("-")[1]: json.loads(artefact_options(name)) for name in artefacts("claims")}
    return as_json(told)


def page_options():
    """The part of the config that explore.html shows."""
    metrics = study.metrics.model_dump() | other_metrics()
    judges = sorted({metric["judge"] for metric in metrics.values()} & set(study.judges))
    shown = {
        "study": study.study,
        "synthetic": study.synthetic,
        "redact": study.redact,
        "runs": list(MEASURED),
        "metrics": metrics,
        "model_labels": {name: model.label or name for name, model in study.models.items()},
        "stand_ins": stand_ins(judges) | comparing_stand_ins(),
    }
    return as_json(shown)


def artefact_inputs(artefact):
    """The files that a table or figure declares to read, in that order."""
    files = {
        "scores": [f"{RESULTS}/scores.parquet"],
        "labels": [f"{RESULTS}/labels/{POOL}/behaviour.parquet"],
        "pool": [f"{RESULTS}/data/pools/{POOL}.parquet"],
        "comparisons": [file for run in MEASURED for file in run_comparisons(run)],
    }
    return [file for kind in declared.artefact(artefact).reads for file in files[kind]]


def trouble_labels(wildcards):
    """What is known of the pool: its labels, a sheet that people filled in, and what the mini world knows of its own."""
    labels, data = f"{RESULTS}/labels/{POOL}", study.pools[POOL]
    files = {"behaviour": f"{labels}/behaviour.parquet"}
    if POOL in needing("category"):
        files["category"] = f"{labels}/category.parquet"
    if data.world == "safety.json" and data.order != "random":
        files["truth"] = f"{WORLD}/data/safety_truth.csv"
    if study.labels.annotations:
        files |= {"pool": f"{RESULTS}/data/pools/{POOL}.parquet", "annotations": study.labels.annotations}
    return files


def this_command():
    """How a person runs this study from this folder."""
    elsewhere = os.path.relpath(workflow.main_snakefile)
    profile = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    profile.add_argument("--profile", nargs="+", default=[])
    # Each flag once: Snakemake takes the last alone.
    given = {
        "--profile": profile.parse_known_args()[0].profile,
        "--snakefile": [elsewhere] if os.path.dirname(elsewhere) else [],
        "--configfile": [os.path.relpath(file) for file in workflow.overwrite_configfiles],
        "--config": [f"{key}={json.dumps(value)}" for key, value in workflow.config_settings.config.items()],
    }
    return shlex.join(["snakemake", *(word for flag, words in given.items() if words for word in (flag, *words))])


def failed_jobs():
    """The jobs that failed, for the report at the end; of a group, those that left no output."""
    for failed in workflow.scheduler.failed:
        for job in failed if failed.is_group() else [failed]:
            if not (failed.is_group() and any(map(os.path.exists, job.output))):
                yield failures.Failure(job.rule.name, str([*job.output, job.rule.name][0]), str([*job.log][0]))
