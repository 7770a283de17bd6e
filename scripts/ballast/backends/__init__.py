"""Backends: one file each, what runs a model. Tokens are made once by `prompts.py`, so every backend sees the same.

`generate(model, adapter, prompts, options, store=None) -> table of responses`: `prompts` are lists of token ids;
`adapter` is a LoRA folder or None for the model as it is; `options` are the config's `generation` section; `store`
(`ballast.asking.store`) keeps each batch, for a job that is killed.
`answer(model, texts, options, max_new_tokens, schema=None, done=...) -> answers`: a generative judge's or labeller's
greedy answers, None where a text is too long to be asked; `options` has batch_size, max_length, dtype and chat;
`schema` is a JSON schema that the answer must follow where the backend can enforce it.
`first_token(model, texts, options, ids, done=...) -> (log-probabilities, top)` a text: of the given token ids at the
answer's first position, and the id that is likeliest there in the whole vocabulary; None where a text is too long.
Both tell `done(indices, values)` of each batch as it ends and load no model where nothing is asked; they take it from
`keep_model.model`, so that a process may keep it for its next job. They say the same of a text whatever is asked beside
it or before it, or state where they do not.
`record(options) -> dict` of versions and settings that shape what a model says.
"""
