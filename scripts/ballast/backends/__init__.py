"""Backends: one file each. A backend is `generate(model, adapter, prompts, decoding) -> responses`.

`prompts` are lists of token ids, made once by `prompts.py`, so that every backend sees the same tokens.
"""
