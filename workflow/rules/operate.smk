"""Answer people's questions: can this machine run the study, what does it cost, is each file still whole?

Inputs: the config; for `verify` the manifest's rows and all that they name; for `adopt` what the jobs read that it makes
again.
Outputs: none, so each runs again when it is asked. `adopt` changes rows of the manifest and Snakemake's records.
Costs: CPU seconds; `verify` reads every byte once; `adopt` makes up to three jobs of each pending stage again.
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
        " --gpu-gigabytes {resources.gpu_gigabytes} 2> {log:q} || echo {params.failed:q} >> {log:q}"


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
        lambda wildcards: inside.or_exit(lambda: inside.has_results("verify")),
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


rule adopt:
    input:
        lambda wildcards: inside.or_exit(inside.adoptable),
    log:
        f"{RESULTS}/logs/adopt.log",
    localrule: True
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        folders=FOLDERS,
        command=inside.command(),
        targets=lambda wildcards: inside.targets(
            {
                "subsets": cards.exports,
                "cards": rules.cards.input,
                "annotation_sheet": rules.annotation_sheet.input,
                "agreement": rules.agreement.input,
                "gradient_report": rules.gradient_report.output,
            }
        ),
        number=lambda wildcards: inside.adopted(),
        seed=study.seed,
        code=code_identity("adopt"),
    message:
        "Make a few jobs of each pending stage again"
    shell:
        "stage adopt --folders {params.folders:q} --command {params.command:q} --targets {params.targets:q}"
        " --number {params.number:q} --seed {params.seed} 2> >(tee {log:q} >&2)"
