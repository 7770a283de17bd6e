"""Scores of a made study of the paper's size and names, whose cells have the published means."""

import numpy as np
import pandas as pd

from ballast import schemas
from ballast.plugins import HOME
from ballast.published import tables

TABLES = HOME / "published/tables.csv"
BENCHMARKS = {"harm": ("beavertails-eval", "harm-rm", 1), "asr": ("salad-attack", "md-judge", 100)}
STOCHASTIC = ("random", "sss", "sss-b")
SAMPLERS = ("none", *STOCHASTIC, "pss", "cossim", "pss-b", "cossim-b")
SIZES = (50, 100, 150, 250, 350, 500, 1000)
PROMPTS = 12


def made_scores(path, shift=0.0, spread=0.01, trials=10):
    """Write scores.parquet: a published cell's mean plus `shift`, and noise of SD `spread` of it in a run."""
    draw = np.random.default_rng(0)
    runs = []
    for cell in tables.read(TABLES).itertuples():
        benchmark, judge, factor = BENCHMARKS[cell.metric]
        noise = draw.normal(0, spread, trials if cell.sampler in STOCHASTIC else 1)
        runs += [
            {"model": cell.model, "pool": "safety", "sampler": cell.sampler, "n": cell.n, "trial": trial}
            | {"benchmark": benchmark, "judge": judge, "mean": (cell.mean + shift) * (1 + off) / factor}
            for trial, off in enumerate(noise - noise.mean())
        ]
    prompts = pd.DataFrame(
        {"prompt_id": [f"p{one}" for one in range(PROMPTS)], "category": pd.array([0] * PROMPTS, dtype="Int8")}
    )
    prompts["off"] = np.linspace(-0.1, 0.1, PROMPTS)
    table = pd.DataFrame(runs).merge(prompts, how="cross")
    table = table.assign(score=table["mean"] * (1 + table["off"]), answer_status="parsed", finish_reason="stop")
    table = table.assign(prompt_tokens=1, response_tokens=1)
    schemas.write(path, table[list(schemas.SCORES.columns)], schemas.SCORES)
    return str(path)


def options(**changes):
    """A study's options as `options_for` takes them; `changes` of the experiment of Tables 1 and 2."""
    grid = {"models": ["llama-2-7b"], "pools": ["safety"], "samplers": list(SAMPLERS), "n": list(SIZES), "trials": 10}
    return {
        "study": "made",
        "synthetic": False,
        "judges": {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard", "helpfulness": "helpful-rm"},
        "published": {"llama-2-7b": "llama-2-7b"},
        "experiment": grid | changes,
    }


TRANSFER = {
    "models": ["llama-3-8b", "llama-3-8b-instruct", "qwen2.5-7b-instruct", "mistral-7b"],
    "samplers": ["random", "sss-b"],
    "n": [50, 100],
}
