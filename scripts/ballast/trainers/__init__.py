"""Trainers: one file each. A trainer is `train(model, rows, options, seed, out) -> log`.

`rows` are base data + subset (columns id, instruction, input, output, origin); the trainer writes
`adapter_model.safetensors` and `adapter_config.json` into `out` and returns what it measured.
"""
