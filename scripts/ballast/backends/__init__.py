"""Backends run models, one file each. `prompts.py` makes all tokens, so every backend gets the same.

`generate(model, adapter, prompts, options, store=None) -> table of responses`: `prompts` are lists of token ids;
`adapter` is a LoRA folder or None for the model alone; `options` are the config's `generation` section; `store`
(`ballast.asking.store`) keeps each batch, so that a killed job resumes.
`answer(model, texts, options, max_new_tokens, schema=None, done=...) -> answers`: a generative judge's or labeller's
greedy answers, None for a text that is too long; `options` has batch_size, max_length, dtype and chat; `schema` is a
JSON schema that the answer must follow if the backend can enforce it.
`first_token(model, texts, options, ids, done=...) -> (log-probabilities, top)` per text: those of the given token ids
at the answer's first position, and the likeliest id there in the whole vocabulary; None for a text that is too long.
Both call `done(indices, values)` after each batch, and load no model if there are no texts. They take the model from
`keep_model.model`, so that a process may keep it for its next job. An answer does not depend on the other texts, or
the backend states where it does.
`record(options) -> dict` of versions and settings that affect answers.
A backend that imports a package which a plain environment lacks names it: PACKAGE = "vllm". Ballast then looks for it
before the first job.
"""
