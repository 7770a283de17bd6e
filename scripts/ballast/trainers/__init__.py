"""Trainers: one file each. A trainer is `train(model, rows, options, seed, out, partial) -> log`.

`rows` are base data + subset (columns id, instruction, input, output, origin); the trainer writes
`adapter_model.safetensors` and `adapter_config.json` into `out` and returns its log. With the option `full`, which only
`sft` knows, it writes the files of a whole model.

A trainer with `FURTHER = True` trains the adapter of the folder `options["adapter"]` further; its methods have an `of`.

`partial` (a `training.checkpoints.Partial`, or None if nobody will continue the run) holds a stopped run's checkpoints;
`checkpoints.train(trainer, partial)` handles them for a trainer built on transformers' Trainer. A continued run must
give the same files and log as a run that was never stopped.
"""
