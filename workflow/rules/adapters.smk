"""For use elsewhere: a model card beside an adapter, and a model with its adapter merged into its weights.

Inputs: a run's adapter and log, its base data, pool and subset; for a merged model the model too.
Outputs: runs/<run>/README.md; runs/<run>/merged/{model.safetensors,config.json,generation_config.json,tokenizer.json,
tokenizer_config.json,README.md}.
Costs: a CPU second a card. A merged model is as large as its base, and is in memory once: 13.5 GB for a 7B model.
None is part of the default target: `snakemake cards` writes all cards, the path of a merged model makes that one.
"""


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


rule card:
    input:
        settled,
        adapter=rules.train.output.adapter,
        config=rules.train.output.config,
        log=rules.train.output.log,
        base=f"{RESULTS}/data/base.parquet",
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        subset=subset_file,
        kept=kept_file,
    output:
        card=f"{RUN}/README.md",
    log:
        f"{RESULTS}/logs/card/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/card/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=500,
        runtime=5,
    params:
        options=card_options,
        files=lambda wildcards, input: options({"subset": input.subset, "kept": input.kept}),
        code=code_identity("card"),
    message:
        "Write the card of {output.card}"
    shell:
        "stage card --record {params.code} {output:q} --"
        " --adapter {input.adapter:q} --config {input.config:q} --log {input.log:q} --base {input.base:q}"
        " --pool {input.pool:q} {params.files} --options {params.options:q} --out {output.card:q} &> {log:q}"


rule merge:
    input:
        settled,
        model=lambda wildcards: model_files(study.models[wildcards.model]),
        adapter=rules.train.output.adapter,
        config=rules.train.output.config,
        card=rules.card.output.card,
    output:
        [f"{RUN}/merged/{file}" for file in MODEL_FILES],
        card=f"{RUN}/merged/README.md",
    log:
        f"{RESULTS}/logs/merge/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge/{{model}}/{{pool}}/{{sampler}}/n{{n}}/t{{trial}}.jsonl"
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        model=lambda wildcards: model_folder(study.models[wildcards.model]),
        adapter=subpath(input.adapter, parent=True),
        dtype=study.training.dtype,
        out=subpath(output.card, parent=True),
        code=code_identity("merge"),
    message:
        "Merge the adapter into {params.out}"
    shell:
        "stage merge --record {params.code} {output:q} --"
        " --model {params.model:q} --adapter {params.adapter:q} --dtype {params.dtype} --card {input.card:q}"
        " --out {params.out:q} &> {log:q}"
