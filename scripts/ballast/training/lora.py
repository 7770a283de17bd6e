"""Check that a LoRA adapter fits its model, before any row is trained: peft trains what it finds, and says nothing."""

import re

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ballast.files import BallastError
from ballast.plugins import nearest

# Layers that peft adapts.
ADAPTED = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, Conv1D)
ALL = "all-linear"


def options(lora: dict, network: PreTrainedModel) -> dict:
    """Return the section `training.lora` as peft takes it, which wants the word for all layers alone.

    A model that also sees or hears is adapted where it reads text: no row would train its other parts.
    """
    towers = [re.escape(name) for name in _towers(network)]
    own = {"target_modules": ALL} if ALL in lora["target_modules"] else {}
    return lora | own | ({"exclude_modules": rf"({'|'.join(towers)})\..*"} if towers else {})


def check(network: PreTrainedModel, lora: dict) -> None:
    """Raise BallastError if a target module is no layer of the model, or shares its weights with another one."""
    towers = tuple(f"{name}." for name in _towers(network))
    layers = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, ADAPTED) and not name.startswith(towers)
    }
    shared = _shared(network)
    named = lora["target_modules"]
    for word in [] if ALL in named else named:
        met = [name for name in layers if name == word or name.endswith(f".{word}")]
        if not met:
            known = sorted({name.rpartition(".")[2] for name in layers} - {"0", "1", "2"})
            raise BallastError(f"training.lora.target_modules: the model has no layer '{word}'{nearest(word, known)}")
        if any(layers[name] in shared for name in met):
            raise BallastError(
                f"training.lora.target_modules: '{word}' shares its weights with the other end of this model "
                "(tie_word_embeddings), so a merge would change both; take it out, or untie and save the model"
            )


def _towers(network: PreTrainedModel) -> list[str]:
    """Return the names of the parts that stand beside the language part, such as a vision tower."""
    if network.config.get_text_config() is network.config:
        return []
    language, head = network.get_decoder(), network.get_output_embeddings()
    [above] = [name.rpartition(".")[0] for name, module in network.named_modules() if module is language]
    beside = network.get_submodule(above).named_children()
    return [f"{above}.{name}".lstrip(".") for name, module in beside if module not in (language, head)]


def _shared(network: PreTrainedModel) -> list[torch.nn.Module]:
    """Return the input embedding and the head if they are one matrix."""
    ends = [network.get_input_embeddings(), network.get_output_embeddings()]
    tied = getattr(network.config.get_text_config(), "tie_word_embeddings", False)
    return [end for end in ends if end is not None] if tied else []
