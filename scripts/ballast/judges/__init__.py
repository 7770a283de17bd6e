"""Judges: one file each, with its prompt template (`<name>.json`) and parser beside it.

A judge is `judge(pairs, options) -> scores`. `pairs` has columns prompt and response, and `expected` if a benchmark
gives the right answer (missing for canaries). `scores` has the same rows in the same order with `score` (a float,
missing if the answer is unreadable), `answer` (the judge's own words or number) and any further columns of the judge.
`UNIT` is "%" if a score is 0 or 1, or between, so that a mean is a share; else the name of the unit, with `SCALE` (the
lowest and the highest score) unless there are no bounds. `DIRECTION` is the better one, "lower" or "higher", or None if
the prompts decide. `RULE = True`: the judge reads only the opening words. `NOTE`: a sentence for the notes of tables.
`LABELS = True`: it can label behaviour; its scores have the column refusal and, unless it takes every request for
harmful, harmful_request and harmful_response.
`CANARIES` bounds the score of known pairs (None: no bounds); a judge that leaves the bounds fails its job
(`judging.py`).
"""
