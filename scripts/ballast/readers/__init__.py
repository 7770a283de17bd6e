"""Readers: one file per source schema. A reader is `read(path) -> rows` and knows nothing about Ballast's ids.

Its constant GIVES says what the rows are: "pairs" (instruction, input, output) for a pool, base data or a task,
"prompts" (prompt; category and expected, if it has them) for a benchmark, "pairs with a category" for references.
A reader for people's own files names its FORM and is `read(path, columns, unreadable, where)`: `columns` maps a part to
its column, `unreadable` is the share of rows that may be left out, `where` the values that columns must have. A reader
of a file with safe and with harmful prompts names both, PROMPTS = ("safe", "harmful"), and is `read(path, prompts,
tags)`. A reader that leaves rows out counts them by reason in the table's `attrs["left_out"]`.
"""
