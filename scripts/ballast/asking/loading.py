"""Load tokenizers and models from folders with safetensors weights.

A missing folder is an error here, before transformers looks for its name on a hub. Training imports this file and no
backend, so that an edit of a backend trains nothing again.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from ballast.asking import from_folder
from ballast.asking.memory import enough
from ballast.asking.prompts import fits
from ballast.asking.weights import model_folder
from ballast.files import BallastError, read_json

disable_progress_bar()


def load_tokenizer(path: str | Path):
    """Return a folder's tokenizer, which knows of its model the number of `embeddings` and what `ends` an answer.

    Raises BallastError if it does not load, or if the model has no embedding for its EOS or padding.
    """
    folder = model_folder(path)
    try:
        tokenizer = from_folder.load(AutoTokenizer, folder)
        tokenizer.embeddings = getattr(text_config(folder), "vocab_size", None)
    except (OSError, ValueError, ImportError) as error:
        raise BallastError(f"{path}: its tokenizer does not load ({' '.join(str(error).split())[:200]})") from None
    own = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    tokenizer.ends = list(dict.fromkeys(own + declared_ends(folder)))
    for token in (tokenizer.eos_token_id, tokenizer.pad_token_id):
        fits(tokenizer, token)
    return tokenizer


def text_config(model: str | Path):
    """Return the config of a model, or of its language part."""
    return from_folder.load(AutoConfig, model_folder(model)).get_text_config()


def declared_ends(folder: str | Path) -> list[int]:
    """Return the end tokens in generation_config.json and config.json, in order; vLLM and transformers stop there."""
    files = [Path(folder) / name for name in ("generation_config.json", "config.json")]
    found = [read_json(file) for file in files if file.is_file()]
    values = [given.get("eos_token_id") for config in found for given in (config, config.get("text_config") or {})]
    return [token for value in values for token in (value if isinstance(value, list) else [value]) if token is not None]


@enough("the model itself does not fit: take a GPU with more memory, a smaller dtype, quantize, or more training.gpus")
def load_model(
    path: str | Path, dtype: str = "float32", kind=AutoModelForCausalLM, quantize: str | None = None, gpus: int = 1
):
    """Load a folder's model in evaluation mode, on the GPU if there is one, or its layers over `gpus` of them.

    `quantize`: int8 or nf4, which need a GPU and bitsandbytes.
    """
    if not quantize and (slow := slow_here(dtype)):
        print(f"{path}: {slow}", file=sys.stderr)
    settings = {"use_safetensors": True, "dtype": getattr(torch, dtype)}
    if quantize:
        settings |= {"quantization_config": _bits(quantize), "device_map": {"": 0}}
    if gpus > 1:
        settings |= _spread(gpus)
    model = from_folder.load(kind, model_folder(path), **settings)
    if "device_map" not in settings:
        model = model.to("cuda" if torch.cuda.is_available() else "cpu")
    elif left := {"cpu", "disk"} & set(map(str, model.hf_device_map.values())):
        raise BallastError(f"{path}: {gpus} GPUs do not hold it (a part is on the {min(left)}); raise training.gpus")
    return model.eval()


def slow_here(dtype: str) -> str | None:
    """Return a line if this machine has no GPU and its CPU no arithmetic in a dtype of 16 bits, else None.

    torch then uses loops of its own. Measured with SmolLM2-135M on an AMD EPYC that has AVX2 alone: in bfloat16
    training takes 17 times the CPU seconds of float32, and answers take 4 times.
    """
    known = {"bfloat16": "_is_mkldnn_bf16_supported", "float16": "_is_mkldnn_fp16_supported"}
    if torch.cuda.is_available() or dtype not in known or getattr(torch.ops.mkldnn, known[dtype])():
        return None
    return (
        f"this CPU has no arithmetic in {dtype}, so training takes some 17 times as long as in float32 and answers 4 "
        "times; set training.dtype and generation.dtype to float32, or lay config/float32.yaml over the study"
    )


def _bits(quantize: str):
    """Return the settings of bitsandbytes; raise BallastError without it or without a GPU."""
    if not torch.cuda.is_available() or find_spec("bitsandbytes") is None:
        raise BallastError(
            f"quantize: {quantize} needs a GPU and bitsandbytes; without them leave quantize out of training and "
            "generation (compat: fork sets it; null takes it back), and set training.optim: adamw_torch"
        )
    from transformers import BitsAndBytesConfig

    if quantize == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def _spread(gpus: int) -> dict:
    """Return the settings that put a model's layers on the first `gpus` GPUs, each an equal share of the weights."""
    there = torch.cuda.device_count()
    if there < gpus:
        raise BallastError(f"training.gpus is {gpus}, and this job has {there} GPUs; lower it, or take a larger node")
    return {"device_map": "balanced", "max_memory": {at: torch.cuda.mem_get_info(at)[0] for at in range(gpus)}}
