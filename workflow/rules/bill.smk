"""The bill: what the study costs on a cluster of GPUs, by rule, before any job runs.

Inputs: none; the number of rows of a dataset that is made already, whose config and source do not say it.
Outputs: none, so it counts anew each time it is asked.
Costs: CPU seconds, on this machine.
"""


rule bill:
    log:
        f"{RESULTS}/logs/bill.log",
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=lambda wildcards: as_json(bill_options()),
        code=code_identity("bill"),
    message:
        "Count what the study costs"
    shell:
        "stage bill --options {params.options:q} 2> >(tee {log:q} >&2)"
