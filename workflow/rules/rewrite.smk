"""Rewrite each response of unsafe pairs as a refusal (appendix C.3), for pools with `rewrite: true`.

Inputs: data/unsafe/<pool>.parquet, the model's files if it runs here, the prompt template.
Outputs: data/pools/<pool>.parquet, data/pools/<pool>.rewriting.json (rows, tokens, cost).
Costs: at an endpoint money, about 3,000 requests and 0.70 USD in the paper; here one pass of the model.

Every answer is kept at once in store/, keyed by the request's content: a killed or repeated job asks only for missing
ones. The store outlives the job, so that a later edit pays nothing twice; deleting it is always safe.
"""


rule rewrite:
    input:
        model=lambda wildcards: inputs.language_model(study.rewriting.model),
        template=lambda wildcards: study.rewriting.template or sources.own_template("rewriting"),
        pool=f"{RESULTS}/data/unsafe/{{pool}}.parquet",
    output:
        pool=f"{RESULTS}/data/pools/{{pool}}.parquet",
        log=f"{RESULTS}/data/pools/{{pool}}.rewriting.json",
    log:
        f"{RESULTS}/logs/rewrite/{{pool}}.log",
    wildcard_constraints:
        pool="|".join(plan.rewritten) or "-",
    resources:
        mem_mb=2000,
        runtime=600,
    params:
        options=lambda wildcards: options.language_model(study.rewriting.model),
        max_new_tokens=lambda wildcards: study.rewriting.max_new_tokens,
        max_failed=lambda wildcards: study.rewriting.max_failed,
        store=f"{RESULTS}/store",
        code=lambda wildcards: code_identity("rewrite", f"backends/{study.rewriting.model.backend}"),
    message:
        "Rewrite the responses of pool {wildcards.pool} as refusals"
    shell:
        "stage rewrite --record {params.code} {output:q} --"
        " --pool {input.pool:q} --options {params.options:q} --template {input.template:q}"
        " --max-new-tokens {params.max_new_tokens} --max-failed {params.max_failed} --store {params.store:q}"
        " --out {output.pool:q} --log {output.log:q} &> {log:q}"
