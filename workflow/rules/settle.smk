"""Settle all inputs of training: until this barrier is made, Snakemake does not decide the rules after it.

Inputs: every source, world model, dataset and subset that training, generation or judging reads.
Outputs: settled.txt. No job reads it; every rule with `settled` among its inputs waits for it.
Costs: nothing. Without it Snakemake would retrain after any job upstream, even one that made the same bytes.
"""

# It says what Snakemake decided here, so it is on no storage.
BARRIER = local(f"{RESULTS}/settled.txt")
# On a first run the barrier is not enforced, only made for the next run.
UNSETTLED = [] if os.path.exists(BARRIER) else BARRIER
settled = inside.settled(checkpoints, BARRIER)


checkpoint settle:
    input:
        inputs.before_training(),
    output:
        BARRIER,
    log:
        f"{RESULTS}/logs/settle.log",
    localrule: True
    resources:
        mem_mb=100,
        runtime=1,
    params:
        files=len(inputs.before_training()),
    message:
        "Settle what is made before training"
    shell:
        "echo {params.files} files settled > {output:q} 2> {log:q}"
