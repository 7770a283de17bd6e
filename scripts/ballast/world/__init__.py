"""The mini world: an instruction language, its datasets, tokenizer, base models and judges, made from options alone.

The embedded study runs on it where the paper runs on real data and 7B models. Nothing in it is operational: harm is a
verb, a noun and two vague steps.
"""
