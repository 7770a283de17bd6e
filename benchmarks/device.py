"""Share code between the benchmarks of one device: random models, random rows, clocks and rates."""

import datetime
import gc
import json
import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import accelerate
import numpy as np
import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, LlamaConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
DTYPE = torch.bfloat16 if DEVICE.type == "cuda" else torch.float32
# Dense bfloat16 TFLOP/s of the data sheets.
PEAKS = {"H200": 989, "H100": 989, "L40S": 181, "A100": 312}
CUT = 256
# Quantiles (steps of 1/20) of the tokens of 9,229 Alpaca rows in Alpaca's template: 4 characters per token, cut at 256.
QUANTILES = [40, 58, 64, 70, 75, 80, 84, 89, 95, 102, 111, 122, 133, 142, 154, 165, 177, 194, 216, 253, 256]
# Characters that Alpaca's template adds to a row, without and with an input.
TEMPLATE_CHARACTERS = (140, 205)
NO_TEXT = SimpleNamespace(pad_token_id=0, bos_token_id=1, eos_token_id=None)


@dataclass(frozen=True)
class Size:
    """A model, and the amount of work of each mode."""

    model: dict
    reward: dict
    vocabulary: int
    reward_vocabulary: int
    batch: int = 128  # rows of an optimiser step
    micro: int = 4  # rows of the authors' micro-batch
    large: int = 32  # rows of ours
    steps: int = 2  # timed, after one warm-up step
    alone: int = 4  # prompts answered one at a time
    together: int = 64  # prompts answered in one batch
    batches: int = 2  # of them
    new_tokens: int = 64
    judge: tuple[int, int] = (8, 1780)  # rows and tokens: a policy, a prompt and a response
    pairs: tuple[int, int] = (64, 512)
    graded: tuple[int, int] = (64, 16)  # rows with one gradient each, and rows per batch


SIZES = {
    "7b": Size(
        {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 11008, "num_attention_heads": 32},
        {"hidden_size": 1024, "num_hidden_layers": 24, "intermediate_size": 4096, "num_attention_heads": 16},
        vocabulary=32000,
        reward_vocabulary=128100,
    ),
    "small": Size(
        {"hidden_size": 128, "num_hidden_layers": 4, "intermediate_size": 384, "num_attention_heads": 4},
        {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 256, "num_attention_heads": 4},
        vocabulary=2048,
        reward_vocabulary=2048,
        steps=4,
        alone=8,
        together=64,
        judge=(2, 1780),
        pairs=(8, 512),
    ),
    "tiny": Size(
        {"hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 32, "num_attention_heads": 2},
        {"hidden_size": 16, "num_hidden_layers": 1, "intermediate_size": 32, "num_attention_heads": 2},
        vocabulary=64,
        reward_vocabulary=64,
        batch=8,
        large=8,
        steps=1,
        alone=2,
        together=4,
        new_tokens=3,
        judge=(2, 16),
        pairs=(2, 16),
        graded=(6, 3),
    ),
}


def machine() -> dict:
    modules = (torch, transformers, peft, accelerate)
    return {
        "device": device_name(),
        "cores": os.cpu_count(),
        "dtype": str(DTYPE).removeprefix("torch."),
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": {module.__name__: module.__version__ for module in modules},
    }


def device_name() -> str:
    return torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{platform.machine()} CPU, one thread"


def read_lengths(path: Path) -> list[int]:
    """Return token counts from a JSON list of counts or of Alpaca rows."""
    rows = json.loads(path.read_text())
    if isinstance(rows[0], dict):
        fields = ("instruction", "input", "output")
        characters = [
            sum(len(row.get(field) or "") for field in fields) + TEMPLATE_CHARACTERS[bool(row.get("input"))]
            for row in rows
        ]
        rows = [round(count / 4) for count in characters]
    return [min(int(length), CUT) for length in rows]


def drawn_lengths(count: int) -> list[int]:
    """Draw lengths from the quantiles, the same at every call."""
    grid = np.linspace(0, 1, len(QUANTILES))
    return np.interp(np.random.default_rng(0).random(count), grid, QUANTILES).astype(int).tolist()


def draw_rows(work: Size, lengths: list[int], count: int) -> list[list[int]]:
    """Return `count` rows of random token ids, lengths drawn from `lengths` without repeats; equal at every call."""
    random = np.random.default_rng(1)
    drawn = random.choice(lengths, count, replace=count > len(lengths))
    return [random.integers(3, work.vocabulary, length).tolist() for length in drawn]


def llama_config(work: Size) -> LlamaConfig:
    return LlamaConfig(vocab_size=work.vocabulary, **work.model)


def llama(work: Size):
    """Return a Llama with random weights on the device, the same at every call."""
    torch.manual_seed(0)
    with DEVICE:
        return AutoModelForCausalLM.from_config(llama_config(work), dtype=DTYPE)


def flops(work: Size, each: int) -> float:
    """Return FLOPs per token: all parameters except the input embedding are in matrix products."""
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(llama_config(work))
    return each * (network.num_parameters() - network.get_input_embeddings().weight.numel())


def now(reset: bool = False) -> tuple[float, float]:
    """Return wall and CPU clocks once the device is idle."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
        if reset:
            torch.cuda.reset_peak_memory_stats()
    return time.perf_counter(), time.process_time()


def rates(begin: tuple, end: tuple, count: int, unit: str, flops_each: float | None = None) -> dict:
    """Return a row of results: work per second and per CPU second, and utilisation of the device."""
    wall, cpu = end[0] - begin[0], end[1] - begin[1]
    peak = next((peak for name, peak in PEAKS.items() if name in device_name()), None)
    used = count / wall * flops_each / (peak * 1e12) if peak and flops_each else None
    return {
        f"{unit}_per_s": round(count / wall, 2),
        f"{unit}_per_cpu_s": round(count / cpu, 2),
        "seconds": round(wall, 4),
        "utilisation": used and round(used, 3),
        "peak_gb": round(torch.cuda.max_memory_allocated() / 1e9, 1) if DEVICE.type == "cuda" else None,
    }


def free() -> None:
    gc.collect()
    torch.cuda.empty_cache()
