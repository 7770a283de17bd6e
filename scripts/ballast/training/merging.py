"""A model with its adapter added into the weights, for programs that know no adapters.

On the CPU, whatever trained it: products of a GPU end in other last bits, and the merged file must have the same bytes
wherever it is made from the same model and adapter.
"""

import shutil
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GenerationConfig

from ballast.asking.weights import adapter_folder, model_folder
from ballast.backends.transformers import load_tokenizer
from ballast.files import BallastError, atomic, writing

# The files of a merged model, in the order in which they are put under their names; the weights last.
FILES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


def merge(model: str, adapter: str, dtype: str, out: str | Path) -> None:
    """Write `model` with `adapter` merged into it, as FILES in the folder `out`; one file of weights whatever its size.

    `dtype` is that of the weights written. An adapter that was trained on weights in 8 bits is merged into the whole
    ones, so what comes out is near what was trained and not equal to it. Raises BallastError where a weight is not a
    number, or a file of the model or the adapter is torn.
    """
    out = Path(out)
    base = AutoModelForCausalLM.from_pretrained(
        model_folder(model), local_files_only=True, use_safetensors=True, dtype=getattr(torch, dtype)
    )
    try:
        network = PeftModel.from_pretrained(base, adapter_folder(adapter)).merge_and_unload(safe_merge=True)
    except ValueError as error:
        raise BallastError(f"{adapter}: it does not merge into {model} ({str(error).splitlines()[0]})") from None
    # The model's own is kept to the byte: what some of them ask for is refused when it is written.
    decoding = Path(model) / FILES[1]
    network.generation_config = GenerationConfig.from_model_config(network.config)
    # A fixed name, since one process at a time merges a run: what is there was left by one that was killed.
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
