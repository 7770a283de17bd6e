"""Let `snakemake` run in this folder: the workflow is workflow/Snakefile."""


include: "workflow/Snakefile"


# Snakemake takes no default target from an included file.
workflow.default_target = rules.all.rule.name
