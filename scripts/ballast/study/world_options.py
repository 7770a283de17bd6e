"""Define the options of the mini world: every number that its files depend on."""

import dataclasses
import json
import random
import zlib
from dataclasses import dataclass

from ballast.files import BallastError
from ballast.plugins import nearest


@dataclass(frozen=True)
class WorldOptions:
    """Sizes are rows, shares are probabilities, rates are peak learning rates, steps are optimiser steps."""

    seed: int = 0
    carrier_share: float = 0.5  # requests phrased in a way unique to their category

    pool_rows: int = 3000
    pool_zipf: float = 2.0  # category k of the pool's order has weight k ** -pool_zipf
    second_pool_rows: int = 600  # each of refusals and safe
    second_pool_zipf: float = 0.5
    base_rows: int = 600
    base_borderline_share: float = 0.08
    references_per_category: int = 12
    evaluation_per_category: int = 8
    attack_rows: int = 42
    borderline_per_category: int = 8
    contrast_per_category: int = 1
    benign_rows: int = 42
    check_rows: int = 28  # per set of the checks beyond the paper
    task_share: float = 0.0  # share of the base models' training rows
    task_rows: int = 400
    task_test_rows: int = 60

    vocabulary: int = 1750
    tokenizer_rows: int = 12000

    hidden_size: int = 96
    layers: int = 3
    pretraining_rows: int = 16000
    pretraining_rate: float = 4e-3
    alignment_rows: int = 1200
    alignment_rate: float = 1e-3

    judge_batch: int = 32
    fault_share: float = 0.4  # share of judge rows whose answer imitates a small model's mistakes
    wildguard_steps: int = 250
    md_judge_steps: int = 120
    category_steps: int = 150
    guard_steps: int = 250  # of Qwen3Guard and Llama Guard
    pairwise_steps: int = 500
    judge_rate: float = 4e-3
    reward_steps: int = 150
    reward_rate: float = 3e-3

    @classmethod
    def parse(cls, text: str) -> "WorldOptions":
        """Return options from flat JSON text; missing keys keep their default. An unknown key is an error."""
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            raise BallastError(f"--options: not valid JSON ({error.msg})") from None
        if not isinstance(given, dict):
            raise BallastError("--options: want a JSON object of option names and numbers")
        known = {field.name: field.type for field in dataclasses.fields(cls)}
        for key, value in given.items():
            if key not in known:
                raise BallastError(f"--options: no option is called '{key}'{nearest(key, list(known))}")
            if isinstance(value, bool) or not isinstance(value, (int, float) if known[key] is float else int):
                raise BallastError(f"--options: '{key}' must be {known[key].__name__}, not {value!r}")
        return cls(**given)

    def random(self, purpose: str) -> random.Random:
        """Return a separate generator for each purpose, so that one file's size never changes another file."""
        return random.Random(f"{self.seed}/{purpose}")

    def torch_seed(self, purpose: str) -> int:
        return zlib.crc32(f"{self.seed}/{purpose}".encode())
