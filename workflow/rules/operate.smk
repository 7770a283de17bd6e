"""Answer people's questions: can this machine run the study, what does it cost, is each file still whole?

Inputs: the config; for `verify` the manifest's rows and all that they name.
Outputs: none, so each runs again when it is asked.
Costs: CPU seconds; `verify` reads every byte once.
"""


rule doctor:
    log:
        f"{RESULTS}/logs/doctor.log",
    localrule: True
    resources:
        mem_mb=2000,
        runtime=10,
        # A profile says how many GPUs a node has, and their memory; 0 asks this machine.
        node_gpus=0,
        gpu_gigabytes=0,
    params:
        options=lambda wildcards: options.doctor(bill.engines()),
        failed=FAILED,
        code=code_identity("doctor"),
    message:
        "See whether this machine can run the study"
    shell:
        # Snakemake prints the command of a failed job, here 18 kB of options: `onsuccess` exits with its error instead.
        "stage doctor --options {params.options:q} --node-gpus {resources.node_gpus}"
        " --gpu-gigabytes {resources.gpu_gigabytes} 2> {log:q} || echo {params.failed} >> {log:q}"


rule bill:
    log:
        f"{RESULTS}/logs/bill.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=lambda wildcards: as_json(bill.bill()),
        code=code_identity("bill"),
    message:
        "Count what the study costs"
    shell:
        "stage bill --options {params.options:q} 2> >(tee {log:q} >&2)"


rule verify:
    input:
        lambda wildcards: inside.or_exit(inside.has_results),
    log:
        f"{RESULTS}/logs/verify.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        folders=FOLDERS,
        command=inside.command(),
        # Stages are included in the order of the data flow.
        rules=inside.rules(),
        code=code_identity("verify"),
    message:
        "Hash every artefact again"
    shell:
        "stage verify --folders {params.folders:q} --command {params.command:q} --rules {params.rules}"
        " 2> >(tee {log:q} >&2)"
