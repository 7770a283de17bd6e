"""Measure DualSelect's cost on one device, with random weights: a refresh, a step, and one row at a time.

    python benchmarks/dualselect.py                    # one GPU: a 7B Llama in bfloat16, minutes
    python benchmarks/dualselect.py --size small       # CPU: four layers of 128, float32, one thread, minutes
    python benchmarks/dualselect.py --size tiny        # CPU: seconds, only to check that it runs
    python benchmarks/dualselect.py --lengths base.json --pool pool.json --out dualselect.json

Parts: `refresh` chooses a tenth of 100 to 2,483 references, and measures peak memory minus that of one batch of the
longest (on a CPU, resident memory of the process; `stored`: the size of all gradients). `step` compares DualSelect's
steps with plain training's on the same rows, both packed, with and without dropout. `rows` computes loss, cosine and
norm of each reference's gradient, one backward pass per row or per batch. Rows have the lengths of `--lengths` and
`--pool` (Alpaca rows, four characters per token), or of a random draw, cut at 256. Ratios use wall time on a GPU, CPU
time on a CPU.
"""

import argparse
import ctypes
import json
import resource
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from device import DEVICE, SIZES, Size, draw_rows, drawn_lengths, free, llama, machine, now, rates, read_lengths
from peft import LoraConfig, get_peft_model
from training import Clock, Variant, training_arguments

from ballast.trainers import dualselect
from ballast.training import packing, per_example

SPEED = f"rows_per_{'s' if DEVICE.type == 'cuda' else 'cpu_s'}"
COUNTS = (100, 500, 2483)
MMAP_THRESHOLD = -3  # of glibc's malloc.h
OPTIONS = {
    name: default[0] if isinstance(default, tuple) else default for name, (default, _) in dualselect.OPTIONS.items()
}


def main(arguments: list[str] | None = None) -> dict:
    parts = {"refresh": refresh, "step": step, "rows": rows}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="7b")
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--lengths", type=Path, help="the task's rows: JSON list of token counts, or of Alpaca rows")
    parser.add_argument("--pool", type=Path, help="the references, likewise")
    parser.add_argument("--out", type=Path, help="JSON file for the results")
    chosen = parser.parse_args(arguments)
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)
    task, pool = (read_lengths(path) if path else drawn_lengths(9229) for path in (chosen.lengths, chosen.pool))
    report = machine() | {"size": chosen.size, "mean_tokens": {"task": mean(task), "pool": mean(pool)}, "results": []}
    for part in chosen.parts:
        for row in parts[part](SIZES[chosen.size], task, pool):
            report["results"].append({"part": part} | row)
            print("  ".join(f"{key} {value}" for key, value in report["results"][-1].items()), flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps(report, indent=1) + "\n")
    return report


def mean(lengths: list[int]) -> float:
    return round(float(np.mean(lengths)), 1)


def examples(work: Size, lengths: list[int], count: int) -> list[dict]:
    """Return rows of random tokens; the first half of each is a prompt without loss."""
    drawn = draw_rows(work, lengths, count)
    return [
        {"input_ids": ids, "labels": [packing.IGNORED] * (len(ids) // 2) + ids[len(ids) // 2 :], "row": at}
        for at, ids in enumerate(drawn)
    ]


def adapted(work: Size, dropout: float = 0.0):
    network = llama(work)
    network.config.use_cache = False
    lora = LoraConfig(
        r=8, lora_alpha=16, lora_dropout=dropout, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"
    )
    network = get_peft_model(network, lora)
    for name, value in per_example.weights(network).items():  # a new adapter's B is zero, and A has no gradient then
        torch.nn.init.normal_(value, std=0.02 if "lora_A" in name else 0.001)
    packing.prepare(network)
    return network


def trainer(work: Size, kind: type, scratch: str, base: list[dict], references: list[dict], dropout: float = 0.0):
    made = kind(
        model=adapted(work, dropout),
        args=training_arguments(work, Variant("packed", packed=True, large=True), scratch),
        train_dataset=base,
        data_collator=packing.collator(),
    )
    if kind is not packing.PackedTrainer:
        made.references = [example | {"row": at} for at, example in enumerate(references)]
        made.reference_ids, made.chosen = [f"{at:06}" for at in range(len(references))], max(1, len(references) // 10)
        options = OPTIONS | {"batch_size": work.batch, "num_train_epochs": 1, "packing": True, "warm_up": 1}
        made.begin(pd.DataFrame({"id": [f"{at:06}" for at in range(len(base))]}), base, options, 0, None)
    return made


class DualSelect(dualselect.DualSelect, packing.PackedTrainer):
    """The trainer that `sft.fit` builds."""


def refresh(work: Size, task: list[int], pool: list[int]):
    """Measure few references first, since a process's peak never falls; before them one batch of the longest."""
    returning(2**16)  # return freed memory at once; else the peak counts the allocator's gaps
    everything = sorted(examples(work, pool, max(COUNTS)), key=lambda example: -len(example["input_ids"]))
    for count in COUNTS:
        spread = np.linspace(0, len(everything) - 1, count).astype(int)
        with tempfile.TemporaryDirectory() as scratch:
            made = trainer(
                work, DualSelect, scratch, examples(work, task, 2 * work.batch), [everything[at] for at in spread]
            )
            if count == COUNTS[0]:
                longest = [example | {"row": at} for at, example in enumerate(everything[: work.large])]
                choose(made, longest)  # a pass's memory, for any number of batches
            begin, before = now(reset=True), peak()
            choose(made, made.references)
            size = sum(value.numel() for value in made.learnt.values()) * 4
            yield {
                "references": count,
                "peak_growth_mb": round(peak() - before, 1),
                "stored_mb": round(count * size / 1e6, 1),
                **rates(begin, now(), count, "rows"),
            }
        del made
        free()
    returning(2**25)


def returning(size: int) -> None:
    """On a CPU, return freed blocks of at least this many bytes to the system at once."""
    if DEVICE.type == "cpu":
        ctypes.CDLL(None).mallopt(MMAP_THRESHOLD, size)


def choose(made, references: list[dict]) -> None:
    """Run a refresh among these references, for a random direction of the task."""
    every, made.references = made.references, references
    made.sum, made.steps = {name: torch.randn_like(value) for name, value in made.learnt.items()}, 1
    made.refresh(0)
    made.references = every


def peak() -> float:
    """Return peak memory so far, in MB: of the GPU since the clock's reset, else of the process."""
    if DEVICE.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def step(work: Size, task: list[int], pool: list[int]):
    """Time every step but the first; the refresh in DualSelect's first scored step is reported separately."""
    work = replace(work, steps=max(work.steps, 3))
    base = examples(work, task, work.batch * (1 + work.steps))
    references = examples(work, pool, work.batch)
    for dropout in (0.0, 0.05):
        plain = None
        for kind in (packing.PackedTrainer, DualSelect):
            with tempfile.TemporaryDirectory() as scratch:
                made = trainer(work, kind, scratch, base, references, dropout)
                clock, refreshing = Clock(), Refreshing(made)
                made.add_callback(clock)
                made.train()
            end = tuple(stop - spent for stop, spent in zip(clock.end, refreshing.spent, strict=True))
            found = rates(clock.begin, end, len(base) - work.batch, "rows")
            plain = plain or found[SPEED]
            name = "plain" if kind is packing.PackedTrainer else "dualselect"
            yield {"way": name, "dropout": dropout, "times_plain": round(plain / found[SPEED], 2)} | found
            del made
            free()


class Refreshing:
    """Measure the wall and CPU time of a trainer's refreshes."""

    def __init__(self, made):
        self.spent = (0.0, 0.0)
        if isinstance(made, DualSelect):
            plain = made.refresh

            def refresh(epoch):
                begin = now()
                plain(epoch)
                self.spent = tuple(
                    old + after - before for old, before, after in zip(self.spent, begin, now(), strict=True)
                )

            made.refresh = refresh


def rows(work: Size, task: list[int], pool: list[int]):
    """Score references: one backward pass and three numbers per row, as released, or packed batches."""
    given = examples(work, pool, work.graded[0])
    network, collate = adapted(work).eval(), packing.collator()
    weights = per_example.weights(network)
    direction = {name: torch.randn_like(value) for name, value in weights.items()}

    def alone(_):
        for example in given:
            batch = {name: move(value) for name, value in collate([example]).items()}
            loss = per_example.row_losses(network, batch)[0]
            gradient = torch.autograd.grad(loss, list(weights.values()))
            dot = sum((each * other).sum() for each, other in zip(gradient, direction.values(), strict=True))
            yield loss.item(), dot.item(), sum(each.square().sum() for each in gradient).sqrt().item()

    def together(size):
        found = [None] * len(given)
        for positions, batch in per_example.batches(given, size, collate, DEVICE):
            scores = per_example.rows_scores(network, batch, direction)
            parts = torch.stack([scores[name] for name in ("loss", "dot", "norm")], dim=1).tolist()
            for at, values in zip(positions, parts, strict=True):
                found[at] = values
        return found

    slow = expected = None
    for size in (1, work.graded[1], work.large):
        way = alone if size == 1 else together
        list(way(size))
        begin = now(reset=True)
        found = np.array(list(way(size)))
        speed = rates(begin, now(), len(given), "rows")
        slow, expected = slow or speed[SPEED], found if expected is None else expected
        gap = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        yield {"rows_at_a_time": size, "times_alone": round(speed[SPEED] / slow, 2), "gap": float(f"{gap:.0e}")} | speed


def move(value):
    return value.to(DEVICE) if torch.is_tensor(value) else value


if __name__ == "__main__":
    main()
