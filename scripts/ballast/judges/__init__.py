"""Judges: one file each, with its prompt template (`<name>.json`) and parser beside it.

A judge is `judge(pairs, options) -> scores`. `pairs` has columns prompt and response, and `expected` if a benchmark
gives the right answer (missing for canaries). `scores` has the same rows in the same order with `score` (a float,
missing if the answer is unreadable), `answer` (the judge's own words or number) and any further columns of the judge.
`CANARIES` bounds the score of known pairs (None: no bounds); a judge that leaves the bounds fails its job
(`judging.py`).
"""
