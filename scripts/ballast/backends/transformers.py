"""The transformers backend: batched greedy generation, and the two ways in which judges are asked.

Models are folders on disk with safetensors weights. A folder that is not there is an error here, before transformers
would take its name for one of a hub.
"""

from pathlib import Path

import pandas as pd
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    GenerationConfig,
)
from transformers.utils.logging import disable_progress_bar

from ballast.files import BallastError
from ballast.prompts import prompt_ids

disable_progress_bar()


def folder(path: str | Path) -> str:
    """`path` as a model folder; BallastError where there is none."""
    if not (Path(path) / "config.json").is_file():
        raise BallastError(f"{path}: no model here (no config.json); give the folder of a model on this machine")
    if not list(Path(path).glob("*.safetensors")):
        raise BallastError(f"{path}: no safetensors weights here; pickled weights are never loaded")
    return str(path)


def load_tokenizer(path: str | Path):
    return AutoTokenizer.from_pretrained(folder(path), local_files_only=True)


def load_model(path: str | Path, dtype: str = "float32", kind=AutoModelForCausalLM):
    """The model of a folder in evaluation mode, on the GPU where there is one."""
    model = kind.from_pretrained(folder(path), local_files_only=True, use_safetensors=True, dtype=getattr(torch, dtype))
    return model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def generate(model: str, adapter: str | None, prompts: list[list[int]], decoding: dict) -> pd.DataFrame:
    """Greedy responses to prompts, in their order.

    `adapter` is a LoRA folder or None; `decoding`: max_new_tokens, max_prompt_tokens, batch_size, dtype.
    Returns response, finish_reason ("stop" at EOS, "length" where cut), prompt_tokens, response_tokens (EOS excluded)
    and prompt_cut (the prompt was longer than max_prompt_tokens and lost tokens from its middle).
    """
    tokenizer = load_tokenizer(model)
    network = load_model(model, decoding["dtype"])
    if adapter is not None:
        from peft import PeftModel

        network = PeftModel.from_pretrained(network, adapter, local_files_only=True).merge_and_unload()
    cut = [_cut(ids, decoding["max_prompt_tokens"]) for ids in prompts]
    tokens = _continue(network, tokenizer, cut, decoding["max_new_tokens"], decoding["batch_size"])
    rows = []
    for ids, short, new in zip(prompts, cut, tokens, strict=True):
        stopped = tokenizer.eos_token_id in new
        new = new[: new.index(tokenizer.eos_token_id)] if stopped else new
        rows.append(
            {
                "response": tokenizer.decode(new, skip_special_tokens=True).strip(),
                "finish_reason": "stop" if stopped else "length",
                "prompt_tokens": len(short),
                "response_tokens": len(new),
                "prompt_cut": len(short) < len(ids),
            }
        )
    return pd.DataFrame(rows, columns=["response", "finish_reason", "prompt_tokens", "response_tokens", "prompt_cut"])


def answer(model: str, texts: list[str], batch_size: int, max_length: int, max_new_tokens: int) -> list[str]:
    """A generative judge's greedy answers. A text over `max_length` tokens is not asked: its answer is empty."""
    tokenizer = load_tokenizer(model)
    network = load_model(model)
    prompts = [prompt_ids(tokenizer, text) for text in texts]
    asked = [index for index, ids in enumerate(prompts) if len(ids) <= max_length]
    tokens = _continue(network, tokenizer, [prompts[index] for index in asked], max_new_tokens, batch_size)
    answers = [""] * len(texts)
    for index, new in zip(asked, tokens, strict=True):
        answers[index] = tokenizer.decode(new, skip_special_tokens=True)
    return answers


def score(model: str, texts: list[str] | list[tuple[str, str]], batch_size: int, max_length: int) -> list[float]:
    """Raw logits of a one-output sequence classifier for texts or text pairs, cut at `max_length` tokens."""
    tokenizer = load_tokenizer(model)
    network = load_model(model, kind=AutoModelForSequenceClassification)
    encoded = [
        tokenizer(*(text if isinstance(text, tuple) else (text,)), truncation=True, max_length=max_length)
        for text in texts
    ]
    logits = [0.0] * len(texts)
    for batch in _by_length([item["input_ids"] for item in encoded], batch_size):
        inputs = tokenizer.pad({key: [encoded[i][key] for i in batch] for key in encoded[0]}, return_tensors="pt")
        with torch.inference_mode():
            output = network(**inputs.to(network.device)).logits[:, 0].float().tolist()
        for index, logit in zip(batch, output, strict=True):
            logits[index] = logit
    return logits


def _continue(network, tokenizer, prompts: list[list[int]], max_new_tokens: int, batch_size: int) -> list[list[int]]:
    """Greedy continuations (token ids, up to and with EOS), left-padded in batches of like length."""
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    # A checkpoint's own generation config may ask for sampling; this one replaces it whole.
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=max_new_tokens,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=pad,
    )
    network.generation_config = config
    continuations: list[list[int]] = [[] for _ in prompts]
    for batch in _by_length(prompts, batch_size):
        width = max(len(prompts[index]) for index in batch)
        ids = torch.tensor([[pad] * (width - len(prompts[index])) + prompts[index] for index in batch])
        mask = torch.tensor([[0] * (width - len(prompts[index])) + [1] * len(prompts[index]) for index in batch])
        with torch.inference_mode():
            output = network.generate(ids.to(network.device), attention_mask=mask.to(network.device))
        for index, row in zip(batch, output[:, width:].tolist(), strict=True):
            continuations[index] = row
    return continuations


def _by_length(sequences: list, batch_size: int) -> list[list[int]]:
    """Indices in batches of like length, so that padding is small; ties keep their order."""
    order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def _cut(ids: list[int], limit: int) -> list[int]:
    """Drop tokens from the middle: the template's opening and its answer mark both stay."""
    return ids if len(ids) <= limit else ids[: limit - limit // 2] + ids[len(ids) - limit // 2 :]
