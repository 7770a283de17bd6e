"""Win rates: a run's responses to a benchmark beside those of another run, by default base data alone.

Inputs: both runs' responses and a language model, or both runs' scores by one judge.
Outputs: runs/<run>/scores/<benchmark>.<pairwise>.parquet, beside the judges' and in their columns; `first` and `second`
are what each order of showing the two gave.
Costs: two short answers a prompt; by scores nothing. Only for a metric of `other_metrics` that names it.

Every answer is kept at once in store/, as the judges' are: a pair of responses is compared once however many runs hold it.
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


rule pairwise:
    input:
        settled,
        unpack(pairwise_inputs),
    output:
        scores=f"{RESULTS}/runs/{{run}}/scores/{{benchmark}}.{{pairwise}}.parquet",
    log:
        f"{RESULTS}/logs/pairwise/{{run}}/{{benchmark}}.{{pairwise}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pairwise/{{run}}/{{benchmark}}.{{pairwise}}.jsonl"
    conda:
        MODEL_ENV
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        options=lambda wildcards: pairwise_options(wildcards.pairwise),
        store=f"{RESULTS}/store",
        code=lambda wildcards: pairwise_code(wildcards.pairwise),
    message:
        "Compare {wildcards.run} on {wildcards.benchmark} by {wildcards.pairwise}"
    shell:
        "stage pairwise --record {params.code} {output:q} --"
        " --name {wildcards.pairwise} --options {params.options:q} --store {params.store:q}"
        " --benchmark {wildcards.benchmark} --ours {input.ours:q} --theirs {input.theirs:q}"
        " --out {output.scores:q} &> {log:q}"
