"""Merge an adapter into its model's weights, for programs that cannot load adapters.

We merge on the CPU, whatever device trained the adapter: a GPU rounds products differently, and the same model and
adapter must give the same bytes everywhere.
"""

import shutil
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, GenerationConfig

from ballast.asking import from_folder
from ballast.asking.loading import load_tokenizer
from ballast.asking.weights import adapter_folder, model_folder
from ballast.files import BallastError, atomic, writing

# The files of a merged model, in the order in which they get their names; the weights last.
FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def merge(model: str, adapter: str, dtype: str, out: str | Path) -> None:
    """Write `model` with `adapter` merged into it, as FILES in the folder `out`; all weights in one file.

    `dtype` is that of the written weights. An adapter trained on quantised weights is merged into the original ones, so
    the result is close to the trained model, not equal. Raises BallastError if a weight is not a number, or if a file
    of the model or the adapter is torn.
    """
    out = Path(out)
    base = from_folder.load(
        AutoModelForCausalLM, model_folder(model), use_safetensors=True, dtype=getattr(torch, dtype)
    )
    try:
        network = from_folder.with_adapter(base, adapter_folder(adapter)).merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise BallastError(f"{adapter}: it does not merge into {model} ({str(error).splitlines()[0]})") from None
    write(network, model, out)


def write(network, model: str, out: Path) -> None:
    """Write a network that came from `model`, with that one's tokenizer, as FILES in the folder `out`."""
    # Copy the model's own byte for byte: transformers refuses to write the values of some.
    decoding = Path(model) / FILES[1]
    network.generation_config = GenerationConfig.from_model_config(network.config)
    # A fixed name is safe: one process at a time merges a run, so a file here is left from a killed one.
    scratch = out / ".merged"
    shutil.rmtree(scratch, ignore_errors=True)
    with writing(out / FILES[-1]):
        try:
            network.save_pretrained(scratch, max_shard_size="10TB")
            load_tokenizer(model).save_pretrained(scratch, save_jinja_files=False)
            if decoding.is_file():
                shutil.copyfile(decoding, scratch / decoding.name)
            for name in FILES:
                with atomic(out / name) as temporary:
                    (scratch / name).replace(temporary)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
