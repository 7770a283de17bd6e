"""Tables: one file each. A table is `table(options, paths) -> markup.Table`; `options` are study.artefacts.Options.

Constants at the top of the file declare what it shows. They are read without importing it.
- `EXPERIMENT`: the experiment of the config whose runs it shows. A study without it has no such table.
- `METRICS`: the metrics that it shows: any of harm, asr, over_refusal and helpfulness.
- `ONE`: the axes that have one value in it: models, pools, samplers, n.
- `TARGETS`: limits of the config's `targets` that it compares with.
- `KEYS`: more options that it uses: redact, published, model_labels, others, measured.
- `READS`: what `paths` are: scores (the default), labels, pool or comparisons.
"""
