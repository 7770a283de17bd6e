"""Figures drawn from scores that are written by hand."""

import json

import numpy as np
import pandas as pd

from ballast import plugins, schemas
from ballast.results import style
from ballast.results.style import Drawn
from ballast.study.artefacts import parse_options

JUDGES = {"harm": "harm-rm", "asr": "md-judge", "over_refusal": "wildguard", "helpfulness": "helpful-rm"}
BENCHMARKS = {"harm": "beavertails-eval", "asr": "salad-attack", "over_refusal": "xstest", "helpfulness": "i-alpaca"}
PAPER = ["random", "cossim", "sss", "pss", "random-b", "cossim-b", "sss-b", "pss-b"]
N = [10, 100, 1000]
GRID = {"models": ["m"], "pools": ["p"], "samplers": ["none", *PAPER], "n": N, "trials": 3}
STUDY = {
    "study": "mini",
    "synthetic": True,
    "judges": JUDGES,
    "labellers": {"behaviour": "wildguard"},
    "stand_ins": {},
    "experiment": GRID,
}


def draw(figure, paths, **changes) -> Drawn:
    """Draw one of the figures, `changes` of the experiment GRID; a number is that of one of the paper's."""
    name = f"figure{figure}" if isinstance(figure, int) else figure
    options = parse_options(f"figures/{name}", json.dumps(STUDY | {"experiment": GRID | changes}))
    with style.styled():
        return plugins.load("figures", name).draw(options, paths)


def write_scores(path, values, metrics=("harm",)):
    """scores.parquet of runs: `values` maps (pool, sampler, n) to the runs' values, each the score of two prompts."""
    runs = [
        {"model": "m", "pool": pool, "sampler": sampler, "n": n, "trial": trial, "benchmark": BENCHMARKS[metric]}
        | {"judge": JUDGES[metric], "prompt_id": f"prompt-{prompt}", "category": prompt, "score": float(value)}
        | {"answer_status": "parsed", "finish_reason": "stop", "prompt_tokens": 5, "response_tokens": 7}
        for metric in metrics
        for (pool, sampler, n), trials in values.items()
        for trial, value in enumerate(trials)
        for prompt in range(2)
    ]
    schemas.write(path, pd.DataFrame(runs).astype({"category": "Int8"}), schemas.SCORES)
    return [str(path)]


def everything(spread=0.1, sizes=N, alone=()):
    """Every sampler, n and trial, and both references; the samplers `alone` have one run."""
    values = {
        ("p", sampler, n): [
            0.8 - 0.2 * np.log10(n) + 0.02 * row + spread * trial for trial in range(1 if sampler in alone else 3)
        ]
        for row, sampler in enumerate(PAPER)
        for n in sizes
    }
    return values | {("p", "none", 0): [0.9, 0.8, 0.85], ("-", "as-is", 0): [0.3]}


def panels(drawn):
    return drawn.figure.get_axes()


def titles(drawn):
    return [axis.get_title(loc="left") for axis in panels(drawn)]


def small_print(drawn):
    return " ".join(text.get_text() for part in drawn.figure.subfigs for text in part.texts).replace("\n", " ")
