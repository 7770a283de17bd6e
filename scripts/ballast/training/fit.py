"""Train one adapter with transformers' Trainer and peft: the code that trainers, filters and features share.

Names follow peft and TrainingArguments. Two runs with equal inputs give equal adapter bytes on one machine.
"""

import math
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from ballast.asking import from_folder, memory
from ballast.asking.loading import load_model, load_tokenizer
from ballast.asking.prompts import prompt_template, training_ids
from ballast.files import BallastError, atomic, read_json, write_json, writing
from ballast.progress import Progress
from ballast.training import checkpoints, lora, merging, packing

IGNORED = -100
VALIDATION_SEED = 42
# Steps between two lines of the log, and steps that `last_loss` averages.
SHOWN_STEPS = 10
# Rows that a line names; the log names all.
SHOWN_IDS = 20


class Variant:
    """A trainer's changes to transformers' Trainer: a mixin whose methods do nothing by default.

    It is also a `checkpoints.Memory`, for state that it must keep between two steps.
    """

    def begin(self, rows: pd.DataFrame, examples: list[dict], options: dict, seed: int, features) -> None:
        """Read the training rows and their `encode` examples; may replace `train_dataset`."""

    def measured(self) -> dict:
        """Return entries of the log beyond those of plain training."""
        return {}

    def save(self, folder: Path) -> None:
        """Write its state, as checkpoints.Memory does."""

    def load(self, folder: Path) -> None:
        """Read its state, as checkpoints.Memory does."""


def fit(
    model: str,
    rows: pd.DataFrame,
    options: dict,
    seed: int,
    out: str | Path,
    partial: checkpoints.Partial | None = None,
    features=None,
    variant: type[Variant] = Variant,
) -> dict:
    """Train one adapter as trainers/sft.py describes; `variant` changes the Trainer, the default changes nothing."""
    # Seed before the model exists: peft draws LoRA's A matrices when it wraps the model.
    set_seed(seed)
    tokenizer = load_tokenizer(model)
    rows, held_out = split(rows, options["validation_rows"], seed)
    every = encoded(tokenizer, rows, options)
    examples, taught = learnable(every, options), answers_learnt(rows, every, options)
    network = base_model(model, options)
    network = network if options.get("full") else with_adapter(network, options)
    if options["packing"]:
        packing.prepare(network)
    kind = type(variant.__name__, (variant, packing.PackedTrainer if options["packing"] else Trainer), {})
    with nullcontext(partial) if partial else checkpoints.scratch() as partial:
        trainer = kind(
            model=network,
            args=arguments(options, seed, partial.folder),
            train_dataset=examples,
            eval_dataset=encode(tokenizer, held_out, options) if len(held_out) else None,
            data_collator=packing.collator() if options["packing"] else Collator(tokenizer),
            callbacks=[FailOnBadLoss(partial)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(ShowLosses())
        trainer.begin(rows, examples, options, seed, features)
        with memory.enough(lower_batch(options)):
            checkpoints.train(trainer, partial, trainer)
        if options.get("full"):
            network.config.use_cache = True
            merging.write(network.to("cpu", getattr(torch, options["dtype"])), model, Path(out))
        else:
            save(network, Path(out), model)
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return {
        "rows": len(rows),
        "rows_by_origin": rows["origin"].value_counts().sort_index().to_dict(),
        **taught,
        **answer_end(tokenizer, options),
        "rows_held_out_by_origin": held_out["origin"].value_counts().sort_index().to_dict(),
        "steps": trainer.state.global_step,
        "tokens": int(sum(len(example["input_ids"]) for example in examples)),
        "rows_cut": int(sum(example["cut"] for example in every)),
        "train_loss": math.fsum(losses) / len(losses),
        "first_loss": losses[0],
        "last_loss": math.fsum(losses[-SHOWN_STEPS:]) / len(losses[-SHOWN_STEPS:]),
        "validation_losses": [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry],
        "seed": seed,
        **trainer.measured(),
    }


def split(rows: pd.DataFrame, validation_rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training rows and validation rows as the authors' code does, or all rows and none.

    It shuffles the mixed rows, unseeded there and by the run's seed here, so that each trial holds out other rows. Then
    it calls `train_test_split(seed=42)` of datasets.
    """
    if validation_rows >= len(rows):
        raise BallastError(f"training.validation_rows {validation_rows} leaves none of {len(rows)} rows to train on")
    if not validation_rows:
        return rows.reset_index(drop=True), rows.iloc[:0]
    mixed = rows.sample(frac=1, random_state=seed).reset_index(drop=True)
    held_out, trained = np.split(split_order(len(mixed)), [validation_rows])
    return mixed.iloc[trained].reset_index(drop=True), mixed.iloc[held_out].reset_index(drop=True)


def split_order(rows: int) -> np.ndarray:
    """Return the positions of rows in the order of `train_test_split(seed=42)` of datasets: first test, then train."""
    return np.random.default_rng(VALIDATION_SEED).permutation(rows)


def base_model(model: str, options: dict) -> PreTrainedModel:
    """Load the model to adapt: original weights, or weights in 8 or 4 bits; on one GPU, or its layers over several."""
    quantize = options.get("quantize")
    # Small steps are lost in bfloat16 weights; only the arithmetic has `dtype` where all weights are trained.
    dtype = "float32" if options.get("full") else options["dtype"]
    network = load_model(model, dtype, quantize=quantize, gpus=options.get("gpus", 1))
    if quantize:
        network = prepare_model_for_kbit_training(network)
    network.config.use_cache = False
    return network


def with_adapter(network: PreTrainedModel, options: dict) -> PeftModel:
    """Return the model with a new adapter, or with the adapter of the folder `adapter`."""
    if options.get("adapter"):
        network = from_folder.with_adapter(network, options["adapter"], is_trainable=True)
        # The adapter's config names its model without a folder; peft would search the hub for it.
        network.peft_config["default"].base_model_name_or_path = network.base_model.model.name_or_path
        return network
    lora.check(network, options["lora"])
    return get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **lora.options(options["lora"], network)))


def encode(tokenizer, rows: pd.DataFrame, options: dict) -> list[dict]:
    """Return the examples (`encoded`) of the rows with a token to learn; raise BallastError if there are none."""
    return learnable(encoded(tokenizer, rows, options), options)


def encoded(tokenizer, rows: pd.DataFrame, options: dict) -> list[dict]:
    """Return token ids and labels of each row, in order; `row`: its place, `prompt`: tokens before the answer."""
    template = prompt_template(tokenizer, options, trained=True)
    limit = options["max_length"]
    examples = []
    for place, row in enumerate(rows.itertuples()):
        prompt = template.render_row(row)
        ids, prompt_length = training_ids(tokenizer, prompt, row.output, limit, template.end)
        masked = 0 if options["train_on_prompt"] else prompt_length
        cut = len(ids) == limit and ids[-1] not in (template.end, tokenizer.eos_token_id)
        labels = [IGNORED] * masked + ids[masked:]
        examples.append({"input_ids": ids, "labels": labels, "cut": cut, "row": place, "prompt": prompt_length})
    return examples


def learnable(examples: list[dict], options: dict) -> list[dict]:
    """Return the examples with a token to learn."""
    found = [example for example in examples if example["labels"][-1:] not in ([], [IGNORED])]
    if not found:
        limit = options["max_length"]
        raise BallastError(f"no row has a token to learn from within max_length {limit}; raise training.max_length")
    return found


def answers_learnt(rows: pd.DataFrame, examples: list[dict], options: dict) -> dict:
    """Return the log's counts, by origin, of rows whose answer is learnt and of rows whose prompt fills the window.

    Of the latter the safety rows' ids are in the log too, and a line on stderr counts them.
    """
    lost = rows.iloc[[example["row"] for example in examples if example["prompt"] >= len(example["input_ids"])]]
    without = {origin: int((lost["origin"] == origin).sum()) for origin in sorted(set(rows["origin"]))}
    given = rows["origin"].value_counts()
    safety = lost["id"][lost["origin"] != "base"].tolist()
    named = f": ids {', '.join(safety[:SHOWN_IDS])}{' ...' if len(safety) > SHOWN_IDS else ''}"
    for origin, count in without.items():
        if count:
            print(
                f"{count} of {given[origin]} {origin} rows teach no answer: the prompt alone fills training.max_length "
                f"{options['max_length']}{named if origin != 'base' else ''}",
                file=sys.stderr,
            )
    return {
        "rows_learnt": {origin: int(given[origin]) - count for origin, count in without.items()},
        "rows_without_answer": without,
        "ids_without_answer": safety,
    }


def answer_end(tokenizer, options: dict) -> dict:
    """Return the log's entry for a token other than EOS that ends the trained answers, and say it on stderr."""
    end = prompt_template(tokenizer, options, trained=True).end
    if end in (None, tokenizer.eos_token_id):
        return {}
    token = tokenizer.convert_ids_to_tokens(end)
    print(f"trained answers end with {token}, like the chat template's turns, not with EOS", file=sys.stderr)
    return {"answer_end": token}


class Collator:
    """Right-pad a batch; the loss ignores the padding."""

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
    """Fail the job if a loss is 0 or NaN: publish no adapter, keep no checkpoint.

    No loss follows the last step, so the weights are checked after it.
    """

    def __init__(self, partial: checkpoints.Partial):
        self.partial = partial

    def on_log(self, args, state, control, logs=None, **kwargs):
        loss = (logs or {}).get("loss")
        if loss is not None and not (math.isfinite(loss) and loss > 0):
            self._fail(f"training loss is {loss} at step {state.global_step}")

    def on_train_end(self, args, state, control, model=None, **kwargs):
        learnt = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if not all(bool(parameter.isfinite().all()) for parameter in learnt):
            self._fail(f"the adapter is not a number after step {state.global_step}")

    def _fail(self, what: str):
        self.partial.clear()
        raise BallastError(
            f"{what}; lower training.learning_rate, check training.dtype, or look for rows with nothing to learn"
        )


class ShowLosses(PrinterCallback):
    """Show some losses, and the time left; the log keeps the loss of every step."""

    def on_train_begin(self, args, state, control, **kwargs):
        self.shown = Progress(state.max_steps - state.global_step, "steps")

    def on_step_end(self, args, state, control, **kwargs):
        self.shown.add()

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" not in (logs or {}) or state.global_step == 1 or state.global_step % SHOWN_STEPS == 0:
            super().on_log(args, state, control, logs, **kwargs)


def lower_batch(options: dict) -> str:
    stays = f" (training.batch_size stays {options['batch_size']}: more micro-batches make up a step)"
    return memory.lower("training.per_device_train_batch_size", options["per_device_train_batch_size"], stays)


def arguments(options: dict, seed: int, folder: Path) -> TrainingArguments:
    """Return the Trainer's arguments, for one process that never splits a batch over GPUs."""
    micro = options["per_device_train_batch_size"]
    validated = options["validation_rows"] > 0
    found = TrainingArguments(
        output_dir=str(folder),
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
        fp16=options["dtype"] == "float16",
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="epoch" if validated else "no",
        save_strategy="epoch" if validated else "no",
        load_best_model_at_end=validated,
        metric_for_best_model="eval_loss",
        per_device_eval_batch_size=micro,
        optim=options["optim"],
        **options.get("tracking", {"report_to": []}),
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    # The Trainer would give a micro-batch to each visible GPU, so that a step has more rows than batch_size.
    found._n_gpu = min(found.n_gpu, 1)
    return found


def save(network, out: Path, model: str) -> None:
    """Write the adapter for peft, with the config in a fixed order and without paths of this machine."""
    # A fixed name is safe: one process at a time trains a run, so a file here is left from a killed one.
    scratch, adapter = out / ".adapter", out / "adapter_model.safetensors"
    shutil.rmtree(scratch, ignore_errors=True)
    with writing(adapter):
        try:
            network.save_pretrained(scratch, safe_serialization=True)
            config = read_json(scratch / "adapter_config.json")
            config["target_modules"] = sorted(config["target_modules"])  # peft writes a set in hash order
            config["base_model_name_or_path"] = Path(model).name
            with atomic(adapter) as temporary:
                (scratch / adapter.name).replace(temporary)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    write_json(out / "adapter_config.json", config)
