"""Verification: is every artefact on disk still what its job wrote?

Inputs: the manifest's rows and all that they name, whatever is there. Every other job writes its own rows.
Outputs: none, so it looks anew each time it is asked. It names each bad artefact, its rule and the repair.
Costs: reading every byte once.
"""


rule verify:
    log:
        f"{RESULTS}/logs/verify.log",
    localrule: True
    conda:
        "../../envs/ballast.yaml"
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        folders=[RESULTS, *([WORLD] if sources.in_world(study) else [])],
        command=this_command(),
        # Stages are included in the order of the data flow.
        rules=[rule.name for rule in workflow.rules],
        code=code_identity("verify"),
    message:
        "Hash every artefact again"
    shell:
        "stage verify --folders {params.folders:q} --command {params.command:q} --rules {params.rules}"
        " 2> >(tee {log:q} >&2)"
