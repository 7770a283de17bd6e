"""Transforms of adapters: one file each. A transform is `transform(adapter, model, pretrained, options, out) -> log`.

All are folders: `adapter` a trained LoRA adapter, `model` its base model, and `pretrained` the model from which `model`
was aligned, if the transform says `PRETRAINED = True`, else None. A transform writes `adapter_model.safetensors` and
`adapter_config.json` into `out`, of the same shape, and returns its measurements. Same inputs, same bytes.

`OPTIONS` names its options, name -> (default, sentence).
"""
