"""Measure the speed of training, generation and judging on one device; random weights suffice for this.

    python benchmarks/training.py                      # one GPU: a 7B Llama in bfloat16, every mode, minutes
    python benchmarks/training.py --size small         # CPU: four layers of 128, float32, one thread, minutes
    python benchmarks/training.py --size tiny          # CPU: seconds, only to check that it runs
    python benchmarks/training.py --modes train --micro 16 --lengths rows.json --out training.json

Modes: `train` (padded like the authors' code, then packed by `training.packing`), `generate` (the authors' loop, one
prompt at a time through an unmerged adapter, then the backend; beams and greedy), `reward` (a scorer of the size of
DeBERTa-v3-large), `judge` (prefill of a causal judge) and `gradients` (one LoRA gradient per row). Rows have the
lengths of `--lengths`, a JSON list of token counts or of Alpaca rows (four characters per token), or else of a random
draw from the distribution of 9,229 such rows, cut at 256.
Token counts exclude padding. Utilisation is 4 FLOPs per matrix parameter and token in training (the weights are frozen)
and 2 in prefill, divided by the dense bfloat16 rate of the data sheet.
"""

import argparse
import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from device import (
    DEVICE,
    DTYPE,
    NO_TEXT,
    SIZES,
    Size,
    draw_rows,
    drawn_lengths,
    flops,
    free,
    llama,
    machine,
    now,
    rates,
    read_lengths,
)
from inference import generate, judge, reward
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch.nn.functional import cross_entropy, pad
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, Trainer, TrainerCallback, TrainingArguments

from ballast.training import fit, packing, per_example

MEMORY_LIMIT_GB = 48


@dataclass(frozen=True)
class Variant:
    """One way to train on the same rows with the same optimiser steps."""

    name: str
    packed: bool = False
    large: bool = False
    own_loss: bool = False
    compiled: bool = False
    checkpointing: bool = False
    eight_bit: bool = False


BASELINE = Variant("padded")
RECOMMENDED = Variant("packed, large micro-batch, blockwise loss", packed=True, large=True, own_loss=True)
VARIANTS = [
    BASELINE,
    Variant("padded, checkpointing", checkpointing=True),
    # The authors train in 8 bits; peft's preparation for that turns checkpointing on.
    Variant("padded, 8-bit, checkpointing", eight_bit=True, checkpointing=True),
    Variant("padded, large micro-batch", large=True),
    Variant("packed", packed=True),
    Variant("packed, large micro-batch", packed=True, large=True),
    RECOMMENDED,
    Variant("packed, blockwise loss, checkpointing", packed=True, large=True, own_loss=True, checkpointing=True),
    Variant("packed, blockwise loss, compiled", packed=True, large=True, own_loss=True, compiled=True),
]


def main(arguments: list[str] | None = None) -> dict:
    modes = {"train": train, "generate": generate, "reward": reward, "judge": judge, "gradients": gradients}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="7b")
    parser.add_argument("--micro", type=int, help="rows of the padded micro-batch; the authors' 4 is the default")
    parser.add_argument("--modes", nargs="+", choices=modes, default=list(modes))
    parser.add_argument("--lengths", type=Path, help="JSON list of token counts, or of Alpaca rows")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    chosen = parser.parse_args(arguments)
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)
    lengths = read_lengths(chosen.lengths) if chosen.lengths else drawn_lengths(9229)
    work = SIZES[chosen.size] if chosen.micro is None else replace(SIZES[chosen.size], micro=chosen.micro)
    about = {"size": chosen.size, "mean_tokens": round(float(np.mean(lengths)), 1), "micro": work.micro}
    report = machine() | about | {"results": []}
    for mode in chosen.modes:
        for row in modes[mode](work, lengths):
            report["results"].append({"mode": mode} | row)
            print("  ".join(f"{key} {value}" for key, value in report["results"][-1].items()), flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    check_memory(report["results"])
    return report


def check_memory(results: list[dict]) -> None:
    """Check that the recommended way fits a card of 48 GB."""
    peaks = [row["peak_gb"] for row in results if row.get("way") == RECOMMENDED.name and row["peak_gb"] is not None]
    if peaks and max(peaks) >= MEMORY_LIMIT_GB:
        sys.exit(f"{RECOMMENDED.name} took {max(peaks)} GB; it must stay under {MEMORY_LIMIT_GB}")


def train(work: Size, lengths: list[int]):
    """Time every variant on the same rows; `times_padded` is in wall time on a GPU, in CPU time on a CPU."""
    rows = draw_rows(work, lengths, work.batch * (1 + work.steps))
    examples = [{"input_ids": ids, "labels": ids} for ids in rows]
    tokens = sum(map(len, rows[work.batch :]))
    speed = "tokens_per_s" if DEVICE.type == "cuda" else "tokens_per_cpu_s"
    padded = None
    for variant in VARIANTS:
        if variant.compiled and DEVICE.type == "cpu":
            continue
        if variant.eight_bit and importlib.util.find_spec("bitsandbytes") is None:
            continue
        network = adapted(work, variant)
        with tempfile.TemporaryDirectory() as scratch:
            trainer = (packing.PackedTrainer if variant.own_loss else Trainer)(
                model=network,
                args=training_arguments(work, variant, scratch),
                train_dataset=examples,
                data_collator=packing.collator() if variant.packed else PadToEight(),
                callbacks=[clock := Clock()],
            )
            trainer.train()
        found = rates(clock.begin, clock.end, tokens, "tokens", flops(work, 4))
        padded = padded or found[speed]
        yield {"way": variant.name, "times_padded": round(found[speed] / padded, 2)} | found
        del trainer, network
        free()


def training_arguments(work: Size, variant: Variant, scratch: str) -> TrainingArguments:
    micro = work.large if variant.large else work.micro
    return TrainingArguments(
        output_dir=scratch,
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=work.batch // micro,
        num_train_epochs=1,
        train_sampling_strategy="sequential",  # so the tokens of the timed steps are known
        learning_rate=3e-4,
        bf16=torch.bfloat16 == DTYPE,
        gradient_checkpointing=variant.checkpointing,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        remove_unused_columns=False,
        use_cpu=DEVICE.type == "cpu",
        dataloader_pin_memory=DEVICE.type == "cuda",
    )


class PadToEight(fit.Collator):
    """Pad to a multiple of eight, as the authors' collator does."""

    def __init__(self):
        super().__init__(NO_TEXT)

    def __call__(self, examples: list[dict]) -> dict[str, torch.Tensor]:
        batch = super().__call__(examples)
        gap = -batch["input_ids"].shape[1] % 8
        fill = {"input_ids": self.pad, "labels": fit.IGNORED, "attention_mask": 0}
        return {key: pad(batch[key], (0, gap), value=fill[key]) for key in batch}


class Clock(TrainerCallback):
    """Record start and end of all steps but the first."""

    def on_step_end(self, args, state, control, **_):
        if state.global_step == 1:
            self.begin = now(reset=True)

    def on_train_end(self, args, state, control, **_):
        self.end = now()


def adapted(work: Size, variant: Variant):
    """Return a random Llama with a new adapter, ready to train in the variant's way."""
    network = llama(work)
    if variant.eight_bit:
        network = in_eight_bits(network)
    network.config.use_cache = False
    settings = {"r": 8, "lora_alpha": 16, "lora_dropout": 0.05, "target_modules": ["q_proj", "v_proj"]}
    network = get_peft_model(network, LoraConfig(task_type="CAUSAL_LM", **settings))
    if variant.packed:
        packing.prepare(network)
    if variant.compiled:
        for layer in network.get_base_model().get_decoder().layers:
            layer.compile(dynamic=True)
    return network


def in_eight_bits(network):
    """Return the same weights, saved and loaded by bitsandbytes, which quantises them."""
    with tempfile.TemporaryDirectory() as folder:
        network.save_pretrained(folder)
        settings = BitsAndBytesConfig(load_in_8bit=True)
        network = AutoModelForCausalLM.from_pretrained(folder, quantization_config=settings, dtype=DTYPE)
    return prepare_model_for_kbit_training(network)


def gradients(work: Size, lengths: list[int]):
    """Time the score <gradient, direction> of every row: one backward pass per row, then in batches by length."""
    count, batch = work.graded
    rows = sorted(draw_rows(work, lengths, count), key=len)
    network = adapted(work, BASELINE).eval()
    weights = {name: value for name, value in network.named_parameters() if value.requires_grad}
    for name, value in weights.items():  # a new adapter's B is zero, so its A would have no gradient
        torch.nn.init.normal_(value, std=0.02 if "lora_A" in name else 0.001)
    direction = {name: torch.randn_like(value) for name, value in weights.items()}
    found = {}
    for way, step in ((alone_scores, 1), (batched_scores, batch)):
        way(network, rows[-step:], direction)
        begin = now(reset=True)
        scores = [way(network, rows[start : start + step], direction) for start in range(0, count, step)]
        found[way] = torch.cat(scores)
        yield {"way": f"{step} rows at a time"} | rates(begin, now(), count, "rows")
    error = (found[batched_scores] - found[alone_scores]).norm() / found[alone_scores].norm()
    yield {"way": "difference of the two", "relative": float(f"{error.item():.1e}")}


def alone_scores(network, rows: list[list[int]], direction: dict[str, torch.Tensor]) -> torch.Tensor:
    network.zero_grad()
    row_losses(network, rows).sum().backward()
    return torch.stack([sum((network.get_parameter(name).grad * value).sum() for name, value in direction.items())])


def batched_scores(network, rows: list[list[int]], direction: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the scores of all rows from one pass."""
    return per_example.rows_scores(network, padded_batch(rows), direction)["dot"]


def row_losses(network, rows: list[list[int]]) -> torch.Tensor:
    """Return the mean loss of each row of a padded batch."""
    batch = padded_batch(rows)
    labels = batch.pop("labels")[:, 1:]
    logits = network(**batch).logits[:, :-1].float()
    losses = cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=fit.IGNORED, reduction="none")
    return losses.view_as(labels).sum(dim=1) / (labels != fit.IGNORED).sum(dim=1)


def padded_batch(rows: list[list[int]]) -> dict[str, torch.Tensor]:
    batch = PadToEight()([{"input_ids": ids, "labels": ids} for ids in rows])
    return {key: value.to(DEVICE) for key, value in batch.items()}


if __name__ == "__main__":
    main()
