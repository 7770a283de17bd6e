"""Check, without loading weights, that a model's tokenizer, chat template and layers fit what a study asks of them."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ballast.asking import from_folder
from ballast.asking.chat import PROBE
from ballast.asking.decoding import askable
from ballast.asking.loading import load_tokenizer
from ballast.asking.prompts import prompt_ids, prompt_template
from ballast.training import lora


def check(folder: str, options: dict) -> None:
    """Raise BallastError with the first thing that does not fit; each job that reads the model finds the same.

    `options` of a model to fine-tune: prompt, template, system, chat_template, lora (absent if nothing is trained); of
    one that is asked in words: chat, chat_template, max_length.
    """
    tokenizer = load_tokenizer(folder)
    if options.get("prompt") == "chat":
        template = prompt_template(tokenizer, options, trained=bool(options.get("lora")))
        prompt_ids(tokenizer, template.render(PROBE))
    elif "prompt" in options:
        prompt_ids(tokenizer, PROBE)  # its template may not be fetched yet
    else:
        askable(tokenizer, [PROBE], options)
    if options.get("lora"):
        with torch.device("meta"):
            network = AutoModelForCausalLM.from_config(from_folder.load(AutoConfig, folder))
        lora.check(network, options["lora"])
