"""Check that a LoRA adapter fits its model, before any row is trained: peft trains what it finds, and says nothing."""

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from ballast.files import BallastError
from ballast.plugins import nearest

# Layers that peft adapts.
ADAPTED = (torch.nn.Linear, torch.nn.Embedding, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d, Conv1D)
ALL = "all-linear"


def options(lora: dict) -> dict:
    """Return the section `training.lora` as peft takes it, which wants the word for all layers alone."""
    return lora | ({"target_modules": ALL} if ALL in lora["target_modules"] else {})


def check(network: PreTrainedModel, lora: dict) -> None:
    """Raise BallastError if a target module is no layer of the model, or shares its weights with another one."""
    layers = {name: module for name, module in network.named_modules() if isinstance(module, ADAPTED)}
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


def _shared(network: PreTrainedModel) -> list[torch.nn.Module]:
    """Return the input embedding and the head if they are one matrix."""
    ends = [network.get_input_embeddings(), network.get_output_embeddings()]
    tied = getattr(network.config.get_text_config(), "tie_word_embeddings", False)
    return [end for end in ends if end is not None] if tied else []
