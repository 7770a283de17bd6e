"""Transforms of adapters: one file each. A transform is `transform(adapter, model, pretrained, options, out) -> log`.

All are folders: `adapter` a trained LoRA adapter, `model` what it was trained on, and `pretrained` the model that this
one was aligned from, where the transform says `PRETRAINED = True`, else None. It writes `adapter_model.safetensors` and
`adapter_config.json` into `out`, of the same shape, and returns what it measured. Same inputs, same bytes.

`OPTIONS` names its options, name -> (default, sentence).
"""
