"""Trainers: one file each. A trainer is `train(model, rows, options, seed, out, partial) -> log`.

`rows` are base data + subset (columns id, instruction, input, output, origin); the trainer writes
`adapter_model.safetensors` and `adapter_config.json` into `out` and returns what it measured.

`partial` (a `training.checkpoints.Partial`, or None where nobody will continue) is where a stopped run keeps its
checkpoints; `checkpoints.train(trainer, partial)` does all of it for a trainer built on transformers' Trainer. Both the
files and the log must be those of a run that was never stopped, so neither may say that it was.
"""
