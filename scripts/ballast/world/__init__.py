"""Make the mini world: an instruction language, its datasets, tokenizer, base models and judges, from options alone.

The embedded study runs on it in place of the paper's real data and 7B models. Nothing in it is operational: harm is a
verb, a noun and two vague steps.
"""
