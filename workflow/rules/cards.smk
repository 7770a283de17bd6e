"""What cards say of subsets and adapters, and where a subset is exported to.

Functions only; each takes wildcards or a name and reads the checked config.
"""


def pool_source(pool):
    """The pool's file as it came; none where the study made the rows."""
    return None if pool in REWRITTEN else study.pools[pool]


def pool_labels(wildcards):
    """The labels that the study makes of this pool."""
    files = {name: f"{RESULTS}/labels/{wildcards.pool}/{name}.parquet" for name in ("behaviour", "category")}
    return {name: file for name, file in files.items() if wildcards.pool in needing(name)}


def export_options(wildcards):
    """What the card and the picture say of a subset beside what stands in its files."""
    data, method = study.pools[wildcards.pool], picker(wildcards.sampler)
    source = study.sources[data.source] if data.source else None
    home = f"{source.hub or source.github}, revision {source.revision}" if source else data_file(data)
    labels, notes = pool_labels(wildcards), []
    if "behaviour" in labels:
        notes += stand_ins([study.labels.behaviour]).values()
    if "category" in labels and study.labels.category == "cossim":
        notes.append("Harm categories are those of the nearest reference set (cossim), not a language model's.")
    if data.world:
        notes.append("The pool is made, in a language of its own.")
    about = [
        ("study", study.study),
        ("pool", f"{wildcards.pool}: {home}" + (", its responses rewritten" if data.rewrite else "")),
        ("licence of the pool", source.licence if source else data.licence or "not stated"),
        ("rule", f"sampler {method.rule}, n = {wildcards.n}, trial {wildcards.trial}"),
        ("seed", str(seed(study.seed, "sampling", wildcards.trial))),
        ("options", sampler_options(wildcards)),
        ("behaviour by", study.labels.behaviour if "behaviour" in labels else "not labelled"),
        ("category by", study.labels.category if "category" in labels else "not labelled"),
        ("embedded by", study.embedding.model),
    ]
    name = "-".join([study.study, *wildcards.get("model", "").split(), wildcards.sampler, wildcards.n, wildcards.trial])
    own = pool_source(wildcards.pool)
    return as_json(
        {
            "study": study.study,
            "pool": wildcards.pool,
            "sampler": wildcards.sampler,
            "plugin": method.sampler,
            "among": method.among,
            "name": name,
            "licence": dict(about)["licence of the pool"],
            "about": about,
            "notes": notes,
            "format": own and dataset_format(f"pools/{wildcards.pool}"),
            "columns": own.columns if own else {},
        }
    )


def exported(folder):
    return {
        name.replace(".", "_").lower(): f"{RESULTS}/subsets/{folder}{{pool}}/{{sampler}}/n{{n}}/t{{trial}}/{name}"
        for name in EXPORTED
    }


EXPORTED = ("subset.jsonl", "ids.csv", "README.md", "dataset_info.json", "pool.png", "pool.svg")
EXPORTS = [f"{stem[:-4]}/{name}" for stem in SUBSETS if "/n0/" not in stem for name in EXPORTED]


def described(name, place):
    """What a card says of a model or dataset; `hub` says whether its home is an id of the Hugging Face hub."""
    source = study.sources.get(place.source)
    if source:
        home = source.hub or sources.page(source.model_dump())
        said = {"home": home, "revision": source.revision, "licence": source.licence, "hub": bool(source.hub)}
    elif place.world:
        said = {"home": "the mini world", "revision": "-", "licence": "Apache-2.0, as Ballast", "hub": False}
    else:
        licence = getattr(place, "licence", None) or UNKNOWN
        said = {"home": os.path.basename(place.path), "revision": "-", "licence": licence, "hub": False}
    return {"name": name} | said


def method_parts(name):
    """A method's plug-ins and their options; of one that goes on from another's adapter, what that one says first."""
    part = method(name)
    before = {"of": part.of} | method_parts(part.of) if part.of else {}
    kinds = ("transform",) if part.of else ("sampler", "filter", "trainer")
    named = {kind: getattr(part, kind) for kind in kinds if getattr(part, kind)}
    own = {f"{kind}.{option}": value for kind in named for option, value in part.options(kind).items()}
    named |= {"sampler": part.rule} if "sampler" in named else {}
    return before | named | own | ({"then": part.then} if part.then else {})


def card_options(wildcards):
    """What the config says of one run, for its card."""
    run, part = run_of(wildcards), method(wildcards.sampler)
    model = study.models[run.model]
    scores = dict(zip(run_judgements(run.path), run_scores(run.path), strict=True))
    measured_on = [(name, METRICS[name]["benchmark"], METRICS[name]["judge"]) for name in MEASURED[run.path]]
    prompts = {"alpaca": f"the Alpaca template {model_template(model)}", "chat": "the model's own chat template"}
    tasks = [described(part.then, study.tasks[part.then])] if part.then else []
    said = {
        "study": study.study,
        "synthetic": study.synthetic,
        "run": run.path,
        "method": run.sampler,
        "n": run.n,
        "trial": run.trial,
        "model": described(model.label or run.model, model),
        "data": [described("base data", study.base), described(run.pool, study.pools[run.pool]), *tasks],
        "parts": method_parts(run.sampler),
        "prompt": prompts[model.prompt],
        "training": study.training.model_dump(exclude={"trainer"}),
        "metrics": [[name, benchmark, judge, scores[benchmark, judge]] for name, benchmark, judge in measured_on],
    }
    return as_json(said)
