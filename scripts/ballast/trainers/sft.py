"""Supervised fine-tuning of a LoRA adapter with transformers' Trainer and peft (paper section 4.1).

Names follow peft and TrainingArguments. The loss covers the prompt too unless `train_on_prompt` is off: the paper's
code trains on inputs. Two runs with equal inputs give equal adapter bytes on one machine.
"""

import math
import tempfile
from pathlib import Path

import pandas as pd
import torch
from peft import LoraConfig, get_peft_model
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from ballast.backends.transformers import load_model, load_tokenizer
from ballast.files import BallastError, atomic, read_json, write_json
from ballast.prompts import PromptTemplate, training_ids

IGNORED = -100


def train(model: str, rows: pd.DataFrame, options: dict, seed: int, out: str | Path) -> dict:
    """Train one adapter; raises BallastError on a loss that is zero or not a number, and then writes nothing."""
    # Before the model exists: LoRA's A matrices are drawn when peft wraps it.
    set_seed(seed)
    tokenizer = load_tokenizer(model)
    examples = encode(tokenizer, rows, options)
    network = load_model(model, options["dtype"])
    network.config.use_cache = False
    network = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **options["lora"]))
    with tempfile.TemporaryDirectory() as scratch:
        trainer = Trainer(
            model=network,
            args=_arguments(options, seed, scratch),
            train_dataset=examples,
            data_collator=Collator(tokenizer),
            callbacks=[FailOnBadLoss()],
        )
        result = trainer.train()
    _save(network, Path(out), model)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "rows": len(rows),
        "rows_by_origin": rows["origin"].value_counts().sort_index().to_dict(),
        "steps": trainer.state.global_step,
        "tokens": int(sum(len(example["input_ids"]) for example in examples)),
        "rows_cut": int(sum(example["cut"] for example in examples)),
        "train_loss": result.training_loss,
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "seed": seed,
    }


def encode(tokenizer, rows: pd.DataFrame, options: dict) -> list[dict]:
    """Token ids and labels of each row, in the order of the rows."""
    template = PromptTemplate.load(options["template"])
    limit = options["max_length"]
    examples = []
    for row in rows.itertuples():
        prompt = template.render(row.instruction, row.input)
        ids, prompt_length = training_ids(tokenizer, prompt, row.output, limit)
        masked = 0 if options["train_on_prompt"] else prompt_length
        cut = len(ids) == limit and ids[-1] != tokenizer.eos_token_id
        if masked < len(ids):  # a row whose prompt fills the window teaches nothing
            examples.append({"input_ids": ids, "labels": [IGNORED] * masked + ids[masked:], "cut": cut})
    if not examples:
        raise BallastError(f"no row has a token to learn from within max_length {limit}; raise training.max_length")
    return examples


class Collator:
    """Right-pads a batch; labels of the padding are ignored."""

    def __init__(self, tokenizer):
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        width = max(len(example["input_ids"]) for example in examples)
        gaps = [width - len(example["input_ids"]) for example in examples]
        ids = [example["input_ids"] + [self.pad] * gap for example, gap in zip(examples, gaps, strict=True)]
        labels = [example["labels"] + [IGNORED] * gap for example, gap in zip(examples, gaps, strict=True)]
        mask = [[1] * (width - gap) + [0] * gap for gap in gaps]
        return {
            "input_ids": torch.tensor(ids),
            "labels": torch.tensor(labels),
            "attention_mask": torch.tensor(mask),
        }


class FailOnBadLoss(TrainerCallback):
    """A loss of 0 or NaN means that nothing sane is being learnt: fail the job, publish no adapter."""

    def on_log(self, args, state, control, logs=None, **kwargs):
        loss = (logs or {}).get("loss")
        if loss is not None and not (math.isfinite(loss) and loss > 0):
            raise BallastError(
                f"training loss is {loss} at step {state.global_step}; lower training.learning_rate, "
                "check training.dtype, or look for rows with nothing to learn"
            )


def _arguments(options: dict, seed: int, scratch: str) -> TrainingArguments:
    micro = options["per_device_train_batch_size"]
    return TrainingArguments(
        output_dir=scratch,
        seed=seed,
        data_seed=seed,
        num_train_epochs=options["num_train_epochs"],
        learning_rate=options["learning_rate"],
        lr_scheduler_type=options["lr_scheduler_type"],
        warmup_steps=options["warmup_steps"],
        weight_decay=options["weight_decay"],
        adam_beta1=options["adam_beta1"],
        adam_beta2=options["adam_beta2"],
        max_grad_norm=options["max_grad_norm"],
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=max(1, options["batch_size"] // micro),
        train_sampling_strategy=options["train_sampling_strategy"],
        bf16=options["dtype"] == "bfloat16",
        logging_steps=10,
        logging_first_step=True,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _save(network, out: Path, model: str) -> None:
    """Write the adapter as peft reads it, with the config in one fixed order and no path of this machine."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        network.save_pretrained(scratch, safe_serialization=True)
        config = read_json(Path(scratch) / "adapter_config.json")
        config["target_modules"] = sorted(config["target_modules"])  # peft writes a set in hash order
        config["base_model_name_or_path"] = Path(model).name
        with atomic(out / "adapter_model.safetensors") as temporary:
            (Path(scratch) / "adapter_model.safetensors").replace(temporary)
    write_json(out / "adapter_config.json", config)
