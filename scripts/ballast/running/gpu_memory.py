"""Sum up the memory that training takes on a GPU, before any job runs; docs/cluster.md has the sum of a 7B model.

The sums are arithmetic on the model's shape and the config. Nobody measured them on a GPU.
"""

from dataclasses import dataclass
from pathlib import Path

from ballast.study.fine_tuning import ALL

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# nf4: half a byte, one byte of constants per 64 weights, and 4 bytes per 256 of those (double quantisation).
FEWER = {"int8": 1, "nf4": 1 / 2 + 1 / 64 + 4 / (64 * 256)}
# Bytes that a layer keeps per token and hidden dimension in 16 bits, with an attention that keeps no scores:
# Korthikanti et al. (arXiv 2205.05198). An estimate: frozen weights keep less, an adapter's float32 inputs more.
KEPT = 34
# Logits and their gradient are float32. Packed training computes this many at a time (`packing.BLOCK`).
LOGIT, BLOCK = 8, 1024


@dataclass(frozen=True)
class Shape:
    """Numbers of a model: all weights, those of its linear layers without the head, and those of the LoRA adapter.

    The other three are 0 if only the size of the model's files is known.
    """

    weights: float
    linear: float
    adapter: float
    layers: int = 0
    hidden: int = 0
    vocabulary: int = 0


def assumed(gigabytes: float, lora: dict) -> Shape:
    """Return the shape of a model of which only the size of its files is known, in 16 bits.

    An adapter of rank 8 on two modules has 0.06 % of the weights, as that of Llama 2 7B.
    """
    weights = gigabytes * 1e9 / 2
    modules = 7 if ALL in lora["target_modules"] else len(lora["target_modules"])
    return Shape(weights, weights, weights * 6e-4 * lora["r"] / 8 * modules / 2)


def known(folder: str | Path, lora: dict) -> Shape:
    """Return the shape of a model whose config.json is in a folder, without reading weights.

    Raises BallastError if the adapter does not fit the model.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoConfig, AutoModelForCausalLM

    from ballast.asking import from_folder
    from ballast.training import lora as adapter

    config = from_folder.load(AutoConfig, folder)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
        head = network.get_output_embeddings()
        layers = [module for module in network.modules() if isinstance(module, torch.nn.Linear) and module is not head]
        numbers = network.num_parameters(), sum(layer.weight.numel() for layer in layers)
        adapter.check(network, lora)
        adapted = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **adapter.options(lora, network)))
    text = config.get_text_config()
    return Shape(
        *numbers, adapted.get_nb_trainable_parameters()[0], text.num_hidden_layers, text.hidden_size, text.vocab_size
    )


def training(shape: Shape, options: dict) -> dict[str, float]:
    """Return the gigabytes on the fullest GPU by part; `options`: those of `training`."""
    quantize, gpus = options.get("quantize"), options.get("gpus", 1)
    size = BYTES[options["dtype"]]
    # Weight and gradient in float32, and the two moments of AdamW.
    learnt = 8 + 2 * (1 if "8bit" in options["optim"] else 4)
    weights = shape.weights * (learnt if options.get("full") else size)
    if quantize:  # peft keeps the other weights, embeddings and head, in float32
        weights = shape.linear * FEWER[quantize] + (shape.weights - shape.linear) * 4
    tokens = options["per_device_train_batch_size"] * options["max_length"]
    layer = tokens * shape.hidden * KEPT * size / 2
    # A quantised model is trained with checkpoints: each layer keeps its input, one layer all.
    inner = tokens * shape.hidden * size * shape.layers + layer if quantize else layer * shape.layers
    logits = (min(tokens, BLOCK) if options["packing"] else tokens) * shape.vocabulary * LOGIT
    sums = {"weights, gradients and AdamW": weights / gpus}
    if not options.get("full"):
        sums = {"weights": weights / gpus, "adapter and optimiser": shape.adapter * learnt / gpus}
    sums["activations"] = inner / gpus + logits
    return {part: number / 1e9 for part, number in sums.items()}


def answering(gigabytes: float, dtype: str, quantize: str | None, gpus: int) -> float:
    """Return the gigabytes of weights on each GPU of a model whose files have 16 bits."""
    return gigabytes / 2 * (FEWER[quantize] if quantize else BYTES[dtype]) / gpus
