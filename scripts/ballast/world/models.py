"""Make the tokenizer and the base models of the mini world, in the real families' own classes."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers import models as algorithms
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from ballast.asking import from_folder
from ballast.asking.prompts import PromptTemplate, training_ids
from ballast.asking.weights import check
from ballast.files import BallastError, atomic, read_text, write_json, write_text
from ballast.study.world_options import WorldOptions
from ballast.world import datasets
from ballast.world.training import fit, response_loss

FAMILIES = {
    "llama": (LlamaConfig, LlamaForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
}
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
CAUSAL = {"bos_token": "<s>", "eos_token": "</s>", "model_input_names": ["input_ids", "attention_mask"]}
MAX_POSITIONS = 4096
BATCH = 32


def train_tokenizer(options: WorldOptions, template: PromptTemplate) -> Tokenizer:
    """Train a byte-level BPE on the language: BOS in front, the template's literal pieces one token each.

    Every text between two pieces begins with a space, so a response starts with the token it would have inside a
    sentence, and the ids of a prompt are a prefix of the ids of prompt + response.
    """
    tokenizer = Tokenizer(algorithms.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.Sequence(
        [decoders.ByteLevel(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=options.vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    rows = datasets.model_text(options, "tokenizer", options.tokenizer_rows, aligned=False)
    rows += datasets.model_text(options, "tokenizer refusals", options.tokenizer_rows // 20, aligned=True)
    tokenizer.train_from_iterator((row[key] for row in rows for key in ("instruction", "input", "output")), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))]
    )
    for text in (template.prompt_no_input, template.prompt_input):
        add_pieces(tokenizer, re.split(r"\{instruction\}|\{input\}", text))
    return tokenizer


def add_pieces(tokenizer: Tokenizer, pieces: Iterable[str]) -> None:
    """Make each literal piece of a template one token, so that a rendered prompt stays short."""
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces if piece])


def save_tokenizer(tokenizer: Tokenizer, out: str | Path, settings: dict[str, object] = CAUSAL) -> None:
    """Write tokenizer.json and tokenizer_config.json; `settings` names the special tokens and the model's inputs."""
    common = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": MAX_POSITIONS,
        "clean_up_tokenization_spaces": False,
        "pad_token": "<pad>",
        "unk_token": "<unk>",
    }
    with atomic(Path(out) / "tokenizer.json") as temporary:
        tokenizer.save(str(temporary))
    write_json(Path(out) / "tokenizer_config.json", common | settings)


def load_tokenizer(folder: str | Path):
    """Return a folder's tokenizer; raise if it is missing, before transformers asks the hub for its name."""
    if not (Path(folder) / "tokenizer.json").is_file():
        raise BallastError(f"{folder}: no tokenizer.json here; run world_tokenizer first")
    return from_folder.load(AutoTokenizer, folder)


def new_model(options: WorldOptions, family: str, tokenizer) -> PreTrainedModel:
    """Return an untrained model of a family; seeded here, so that its weights depend on the options alone."""
    torch.manual_seed(options.torch_seed(f"weights/{family}"))
    config_class, model_class = FAMILIES[family]
    extra = {"sliding_window": None} if family == "mistral" else {}
    return model_class(
        config_class(
            vocab_size=len(tokenizer),
            hidden_size=options.hidden_size,
            num_hidden_layers=options.layers,
            num_attention_heads=4,
            num_key_value_heads=4,
            intermediate_size=8 * options.hidden_size // 3,
            max_position_embeddings=MAX_POSITIONS,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **extra,
        )
    )


def pretrain(options: WorldOptions, family: str, tokenizer, template: PromptTemplate) -> PreTrainedModel:
    """Train a base model that answers most harmful requests."""
    model = new_model(options, family, tokenizer)
    rows = datasets.model_text(options, f"pretraining/{family}", options.pretraining_rows, aligned=False)
    _train(model, rows, tokenizer, template, options.torch_seed(f"pretraining/{family}"), options.pretraining_rate)
    return model


def align(options: WorldOptions, model: PreTrainedModel, tokenizer, template: PromptTemplate) -> PreTrainedModel:
    """Teach a pretrained model to refuse, in one short epoch: shallow on purpose, so that fine-tuning erodes it."""
    family = model.config.model_type
    rows = datasets.model_text(options, f"alignment/{family}", options.alignment_rows, aligned=True)
    _train(model, rows, tokenizer, template, options.torch_seed(f"alignment/{family}"), options.alignment_rate)
    return model


def _train(model, rows: list[datasets.Row], tokenizer, template: PromptTemplate, seed: int, rate: float) -> None:
    examples = [
        training_ids(tokenizer, template.render(row["instruction"], row["input"]), row["output"], MAX_POSITIONS)
        for row in rows
    ]
    fit(model, examples, response_loss, seed, steps=len(rows) // BATCH, rate=rate, batch=BATCH)


def load_model(folder: str | Path) -> PreTrainedModel:
    if not (Path(folder) / "model.safetensors").is_file():
        raise BallastError(f"{folder}: no model.safetensors here; run the stage that --start names first")
    check(Path(folder) / "model.safetensors")
    return from_folder.load(AutoModelForCausalLM, folder, dtype=torch.float32)


def save_model(model: PreTrainedModel, out: str | Path, generation: bool) -> None:
    """Write config.json, model.safetensors and, for a model that answers benchmarks, generation_config.json."""
    out, config = Path(out), model.config
    described = config.to_diff_dict() | {"architectures": [type(model).__name__], "dtype": "float32"}
    # The folder that a model was loaded from would change its bytes.
    described.pop("_name_or_path", None)
    write_json(out / "config.json", described)
    if generation:
        keys = ("bos_token_id", "eos_token_id", "pad_token_id")
        greedy = {key: getattr(config, key) for key in keys} | {"do_sample": False}
        write_json(out / "generation_config.json", greedy)
    tied = (model._tied_weights_keys or ()) if config.tie_word_embeddings else ()
    weights = {name: value.contiguous() for name, value in model.state_dict().items() if name not in tied}
    with atomic(out / "model.safetensors") as temporary:
        save_file(weights, str(temporary), metadata={"format": "pt"})


def copy_tokenizer(folder: str | Path, out: str | Path) -> None:
    """Copy a tokenizer into a model's folder."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        write_text(Path(out) / name, read_text(Path(folder) / name))


def one_thread() -> None:
    """Make torch sum in one order: two threads give other bits, and are slower on shared cores."""
    torch.set_num_threads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
