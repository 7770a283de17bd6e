"""On request let people label responses, and compare the judges with them.

Inputs: responses and scores of the runs of the experiment `sampling`, without it of all runs; the sheets of
labels.response_annotations, which people filled in.
Outputs: annotation/responses.csv (people fill in copies of it elsewhere), annotation/responses_key.csv (never shown to
them) and annotation/responses_guide.txt; people.{csv,md}.
Costs: CPU seconds, after the study's runs.
"""


rule response_sheet:
    input:
        settled,
        responses=people.responses,
        scores=people.scores,
    output:
        sheet=f"{RESULTS}/annotation/responses.csv",
        key=f"{RESULTS}/annotation/responses_key.csv",
        guide=f"{RESULTS}/annotation/responses_guide.txt",
    log:
        f"{RESULTS}/logs/response_sheet.log",
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        results=lambda wildcards: plan.results,
        options=people.sheet,
        rows=study.labels.annotation_responses,
        seed=study.seed,
        code=code_identity("response_sheet"),
    message:
        "Draw the responses that people label"
    shell:
        "stage response_sheet --record {params.code} {output:q} --"
        " --results {params.results:q} --options {params.options:q} --scores {input.scores:q}"
        " --rows {params.rows} --seed {params.seed}"
        " --out-sheet {output.sheet:q} --out-key {output.key:q} --out-guide {output.guide:q} &> {log:q}"


rule people:
    input:
        settled,
        scores=people.scores,
        key=f"{RESULTS}/annotation/responses_key.csv",
        filled=list(study.labels.response_annotations.values()),
    output:
        csv=f"{RESULTS}/people.csv",
        md=f"{RESULTS}/people.md",
    log:
        f"{RESULTS}/logs/people.log",
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        options=people.report,
        filled=people.filled,
        code=code_identity("people"),
    message:
        "Compare the judges with people"
    shell:
        "stage people --record {params.code} {output:q} --"
        " --options {params.options:q} --scores {input.scores:q} --key {input.key:q} --annotations {params.filled}"
        " --out-csv {output.csv:q} --out-md {output.md:q} &> {log:q}"
