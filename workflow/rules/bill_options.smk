"""What the bill counts: like runs, labels, models and how they are run, datasets, groups of the executor.

Functions only; each reads the checked config.
"""


def gigabytes(place):
    """What a model's weights take: the copy on this machine, else what its source says; None where nobody says."""
    source = study.sources.get(place.source)
    if place.world or (source and not source.local):
        return source and source.gigabytes
    folder = sources.local_path(place.source, source.local) if source else place.path
    return sum(os.path.getsize(file) for file in sources.local_files(folder).values()) / 1e9


def engine(place, backend="transformers", **how):
    """What the bill knows of a model and of how it is run."""
    usual = {"batch_size": 1, "words": True, "beams": 1, "longest": 0, "eight_bit": False, "compares": False}
    return usual | {"gigabytes": gigabytes(place), "backend": backend} | how


def engines():
    """Each model that a job loads, and how: by judge, by stage that labels or rewrites, by `train` or `generate` model."""
    labels, rewriting, generation = study.labels, study.rewriting, study.generation
    found = {
        name: engine(judge, judge.backend, batch_size=judge.batch_size, words=bool(judge_template(name)))
        for name, judge in study.judges.items()
        if is_model(judge)
    }
    if labels.behaviour in found:
        found["behaviour"] = found[labels.behaviour]
    for stage, model, longest in (
        ("category", labels.category == "llm" and labels.category_model, 0),
        ("rewrite", rewriting and rewriting.model, rewriting and rewriting.max_new_tokens),
    ):
        if model and not model.endpoint:
            found[stage] = engine(model, model.backend, batch_size=model.batch_size, longest=longest)
    for name, pairwise in study.pairwise.items():
        if pairwise.model and not pairwise.model.endpoint:
            how = {"batch_size": pairwise.model.batch_size, "compares": True}
            found[name] = engine(pairwise.model, pairwise.model.backend, **how)
    decoding = {"beams": 4 if generation.decoding == "beam4" else 1, "eight_bit": generation.load_in_8bit}
    decoding |= {"batch_size": generation.batch_size, "longest": generation.max_new_tokens}
    for name, model in study.models.items():
        found[f"train {name}"] = engine(model)
        found[f"generate {name}"] = engine(model, generation.backend, **decoding)
    return found


def needing(feature):
    """The pools of which a sampler, trainer or filter of the study reads this feature."""
    return {run.pool for run in TRAINED if feature in method(run.sampler).reads}


def labelled():
    """The pools that each stage which may ask a model is run for."""
    rewritten = {run.pool for run in RUNS} & set(REWRITTEN)
    return {"rewrite": rewritten, "behaviour": needing("behaviour") | {POOL}, "category": needing("category")}


def like_runs():
    """The runs as the bill tells them apart, and how many there are of each; n is None where nothing is trained."""
    found = {}
    for path in sorted({*MEASURED, *(run.path for run in TRAINED)}):
        run = from_path(path)
        n = None if run.sampler in (AS_IS, *TRANSFORMED) else run.n
        like = (run.model, n, tuple(run_judgements(path)) if path in MEASURED else ())
        found[like] = found.get(like, 0) + 1
    return [{"model": model, "n": n, "wanted": wanted, "jobs": jobs} for (model, n, wanted), jobs in found.items()]


def before_runs():
    """What a model is asked before any run: features that plug-ins read, and filters of the base data."""
    files = {file for run in TRAINED for file in feature_files(method(run.sampler).reads, run.pool, run.model).values()}
    found = set()
    for model, kind, rows in filter(None, map(model_feature, files)):
        found.add((kind, model, rows, study.gradients.reference_rows if rows == "references" else None))
        if kind == "gradients":
            found.add(("warm_up", model, "base", study.gradients.warm_up_rows))
    found = [dict(zip(("rule", "model", "dataset", "limit"), each)) for each in sorted(found, key=str)]
    filters = [os.path.relpath(file, f"{RESULTS}/kept").split("/")[0] for file in KEPT]
    return found + [{"rule": "filter", "model": model, "dataset": "base", "limit": None} for model in filters]


def priced_as_plain():
    """The plug-ins beside the plain trainer whose jobs the bill takes for plain training."""
    trainers = {method(run.sampler).trainer for run in TRAINED} - {"sft"}
    return sorted(trainers | {method(name).filter for name in FILTERING})


def world_models():
    """The models of the mini world that the study reads, and those that they start from."""
    places = [*models_used(), *study.judges.values(), study.labels.category_model]
    places += [study.rewriting and study.rewriting.model, *COMPARING]
    names = {place.world for place in places if place and place.world}
    names |= {sources.WORLD_JUDGES.get(name) or name for name in names}
    return names | {name.replace("-aligned", "-pretrained") for name in names}


def cpu_jobs():
    """The jobs of the default target that ask no model on a GPU, by rule."""
    loaded, embedded, embedded_references = engines(), needing("embedding"), bool(needing("references"))
    if study.labels.category == "cossim" and needing("category"):
        embedded, embedded_references = embedded | needing("category"), True
    unloaded = {stage: len(pools) for stage, pools in labelled().items() if stage not in loaded}
    unloaded["judge"] = sum(run["jobs"] for run in like_runs() for _, judge in run["wanted"] if judge not in loaded)
    asked = set(sources.WORLD_CHECKS) & {data.world for _, data in DATASETS.values()}
    world = {
        "world_data": 1,
        "world_checks": int(bool(asked)),
        "world_tokenizer": 1,
        "world_model": len(world_models()),
    }
    return {
        **(world if sources.in_world(study) else {}),
        **unloaded,
        "fetch": len(sources.used(study)),
        "data": 1
        + len(study.benchmarks)
        + len({method(name).then for name in TRAINED_ON})
        + len({run.pool for run in RUNS} | {POOL})
        + (embedded_references or bool(needing("reference-gradients"))),
        "embed": len(embedded) + embedded_references,
        "sample": len(SUBSETS),
        "transform": sum(run.sampler in TRANSFORMED for run in RUNS),
        "settle": 1,
        "scores": 1,
        "table": len(TABLES) // 3,
        "figure": len(FIGURES) // 4,
        "headline": int(bool(HEADLINE)),
        "claims": 1,
        "comparison": len(COMPARISONS) // 2,
        "advice": int(bool(ADVICE)),
        "trouble": int(bool(TROUBLE)),
        "spent": len(SPENT),
        "checks": int(bool(CHECKS)),
        "explore": 1,
        "about": 1,
        "cost": 1,
        "pages": 1,
    }


def groups():
    """Each stage that the executor groups: the group, and how many of its parts make one cluster job."""
    settings = workflow.group_settings
    size = settings.group_components
    return {stage: (group, size.get(group, 1)) for stage, group in settings.overwrite_groups.items()}


def dataset_facts(dataset):
    """Where the number of a dataset's rows may be known from."""
    data = DATASETS[dataset][1]
    source = study.sources.get(data.source)
    folder, name = os.path.split(dataset)
    return {
        "rows": data.rows,
        "key": f"{'pools' if folder == 'unsafe' else folder}.{name}".strip("."),
        "made": f"{RESULTS}/data/{dataset}.parquet",
        "file": os.path.basename(data_file(data)) if source and not source.local else "",
        "format": dataset_format(dataset),
        "command": this_command(),
    }


def bill_options():
    """All that the bill counts: like runs, labels, models, datasets, groups, and the options that cost."""
    loaded = engines()
    folders = {"rewrite": "unsafe", "behaviour": "pools", "category": "pools"}
    labels = {stage: sorted(f"{folders[stage]}/{pool}" for pool in pools) for stage, pools in labelled().items()}
    return {
        "study": study.study,
        "gpu": not study.synthetic,
        "runs": like_runs(),
        "labels": {stage: names for stage, names in labels.items() if stage in loaded},
        "before_runs": before_runs(),
        "priced_as_plain": priced_as_plain(),
        "engines": loaded,
        "datasets": {name: dataset_facts(name) for name in DATASETS},
        "cpu_jobs": cpu_jobs(),
        "groups": groups(),
        "training": study.training.model_dump(),
        "gradients": study.gradients.model_dump(),
        "generation": study.generation.model_dump(),
        "fetched": sum(study.sources[name].gigabytes or 0 for name in sources.used(study)),
    }


def cost_options():
    """The bill without what differs between two ways to run the same study."""
    said = bill_options()
    datasets = {name: facts | {"command": "snakemake"} for name, facts in said["datasets"].items()}
    return said | {"datasets": datasets, "groups": {}}
