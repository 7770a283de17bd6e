"""Write the report's pages: explore.html, how the study is made, and one page per document.

Inputs: runs/<run>/responses.parquet, scores.parquet, the parts of the page; the study's documents; the config; for the
cost, the datasets' rows.
Outputs: explore.html (with `redact: true` it holds lengths in place of texts); about/{methods,config,software}.md,
about/cost.txt, pages/<document>.html. `snakemake --report report.html` puts figures and pages into one file.
Costs: CPU seconds; explore.html grows with prompts x runs, its texts up to a limit (docs/explore.md).
"""

PAGE_PARTS = sorted(os.path.relpath(part) for part in sources.HOME.glob("explore/page/*"))


rule explore:
    input:
        settled,
        responses=[f"{RESULTS}/runs/{run}/responses.parquet" for run in plan.measured],
        scores=f"{RESULTS}/scores.parquet",
        page=PAGE_PARTS,
    output:
        html=f"{RESULTS}/explore.html",
    log:
        f"{RESULTS}/logs/explore.log",
    resources:
        mem_mb=4000,
        runtime=30,
    params:
        results=lambda wildcards, output: os.path.dirname(output.html),
        options=lambda wildcards: documents.explore(),
        code=code_identity("explore"),
    message:
        f"Put the responses of {len(plan.measured)} runs side by side"
    shell:
        "stage explore --record {params.code} {output:q} --"
        " --results {params.results:q} --options {params.options:q} --scores {input.scores:q} --out {output.html:q}"
        " &> {log:q}"


ABOUT = expand("{results}/about/{name}.md", results=RESULTS, name=("methods", "config", "software"))
# Each document of the report, with its category and title.
DOCUMENTS = {
    **({"headline.txt": ("Start here", "Headline")} if HEADLINE else {}),
    **({"advice.md": ("Start here", "Advice")} if ADVICE else {}),
    **({"trouble.md": ("Start here", "Signatures of trouble")} if TROUBLE else {}),
    **({"checks.md": ("Beyond the paper", "Checks")} if CHECKS else {}),
    **{f"{table}.md": ("Tables", os.path.basename(table).capitalize()) for table in documents.artefacts("tables")},
    "claims.md": ("Claims", "Claims of the publications"),
    **{
        os.path.relpath(file, RESULTS): ("Paper versus ours", os.path.basename(file)[:6])
        for file in documents.comparisons[1::2]
    },
    "about/methods.md": ("About this study", "Methods, ready to paste"),
    "about/cost.txt": ("About this study", "Cost"),
    "about/config.md": ("About this study", "Config"),
    "about/software.md": ("About this study", "Software"),
}


rule about:
    output:
        methods=f"{RESULTS}/about/methods.md",
        config=f"{RESULTS}/about/config.md",
        software=f"{RESULTS}/about/software.md",
    log:
        f"{RESULTS}/logs/about.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        config=as_json(study),
        code=code_identity("about"),
    message:
        "Say how the study is made"
    shell:
        "stage about --record {params.code} {output:q} --"
        " --config {params.config:q} --out-methods {output.methods:q} --out-config {output.config:q}"
        " --out-software {output.software:q} &> {log:q}"


rule cost:
    input:
        settled,
        inputs.needed_data,
    output:
        text=f"{RESULTS}/about/cost.txt",
    log:
        f"{RESULTS}/logs/cost.log",
    localrule: True
    resources:
        mem_mb=1000,
        runtime=5,
    params:
        options=lambda wildcards: as_json(bill.cost()),
        code=code_identity("bill"),
    message:
        "Count what the study costs, for the report"
    shell:
        "stage bill --record {params.code} {output:q} --"
        " --options {params.options:q} --out {output.text:q} &> {log:q}"


rule pages:
    input:
        settled,
        documents=expand("{results}/{document}", results=RESULTS, document=DOCUMENTS),
    output:
        [
            report(
                f"{RESULTS}/pages/{document}.html",
                caption="../report/page.rst",
                category=category,
                labels={"document": title},
            )
            for document, (category, title) in DOCUMENTS.items()
        ],
    log:
        f"{RESULTS}/logs/pages.log",
    localrule: True
    resources:
        mem_mb=500,
        runtime=5,
    params:
        titles=json.dumps([title for _, title in DOCUMENTS.values()]),
        code=code_identity("pages"),
    message:
        "Make a page of each document, for the report"
    shell:
        "stage pages --record {params.code} {output:q} --"
        " --titles {params.titles:q} --documents {input.documents:q} --out {output:q} &> {log:q}"
