"""Judges: one file each, with its prompt template (`<name>.json`) and parser beside it.

A judge is `judge(pairs, options) -> scores`: `pairs` has columns prompt and response, and `expected` where a benchmark
says the right answer (missing for canaries); `scores` has the same rows in the same order with `score` (a float,
missing where the answer could not be read), `answer` (the judge's own words or number) and whatever else the judge
says. `CANARIES` bounds the score of known pairs (None: anything goes): a judge that leaves the bounds fails its job
(`judging.py`).
"""
