"""Simulate how often intervals and families of tests are wrong: the table of docs/statistics.md.

    python benchmarks/intervals.py [--studies 1000]

A study has Random and seven samplers at three n, on 112 prompts. None differs from Random, so a difference that is
significant after Holm's correction for all 21 is wrong. Scores are normal, with the SD of a run in the second column,
0.5 of a prompt in a cell, and 1 of a single score; or they are 0 and 1 with a run's own rate.

alone, together: studies with a wrong finding, each difference by its own runs, or by what the cells share (`Cells`).
Each row draws its own studies.
"""

import argparse
import functools
import math
import multiprocessing
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast.results.cells import Cells
from ballast.results.contrasts import p_of
from ballast.results.statistics import estimate, holm

PROMPTS, OF_PROMPTS, NOISE, SAMPLERS, SIZES, RESAMPLES = 112, 0.5, 1.0, 7, 3, 200
EFFECT = 0.5  # a true difference, for power
PAIRS = [((sampler, n), (0, n)) for sampler in range(1, SAMPLERS + 1) for n in range(SIZES)]
COLUMNS = ["alone", "together", "single test", "coverage", "power", "power, Holm"]


def normal(
    draw: np.random.Generator, runs: int, of_runs: float, of_trials: float = 0.0, single: int = 0, factor: float = 1.0
) -> Cells:
    """Return null cells by (sampler, n); sampler 0 is Random. The last `single` samplers have one run.

    Between cells the SD of runs differs by up to `factor`, in either direction.
    """
    trial, cells = draw.normal(0, of_trials, runs), {}
    for sampler in range(SAMPLERS + 1):
        for n in range(SIZES):
            mine = draw.normal(0, OF_PROMPTS, PROMPTS) + draw.normal(0, NOISE, (runs, PROMPTS))
            sd = of_runs * factor ** draw.uniform(-1, 1)
            mine = mine + (trial + draw.normal(0, sd, runs))[:, None]
            cells[sampler, n] = pd.DataFrame(mine[: 1 if sampler > SAMPLERS - single else None])
    return Cells(cells)


def rates(draw: np.random.Generator, runs: int, rate: float, of_runs: float) -> Cells:
    """Return null cells of 0 and 1; a run's rate is from a beta distribution whose SD is `of_runs`."""
    strength = rate * (1 - rate) / of_runs**2 - 1
    cells = {}
    for key in ((sampler, n) for sampler in range(SAMPLERS + 1) for n in range(SIZES)):
        of_run = draw.beta(rate * strength, (1 - rate) * strength, (runs, 1))
        cells[key] = pd.DataFrame((draw.random((runs, PROMPTS)) < of_run).astype(float))
    return Cells(cells, whole=1.0)


def measured(studies: int, seed: int, made, truth: float = 0.0) -> list[float]:
    """Return COLUMNS in %: studies with a false finding, false single tests, true means within intervals, and power."""
    draw = np.random.default_rng(seed)
    wrong, alone, covered, power = {"alone": [], "together": []}, [], [], []
    for _ in range(studies):
        cells = made(draw)
        found = [cells.difference(*pair, 0, RESAMPLES) for pair in PAIRS]
        p = pd.Series([p_of(one) for one in found])
        wrong["together"].append((holm(p) < 0.05).any())
        pairs = [(cells[ours].to_numpy(), cells[theirs].to_numpy()) for ours, theirs in PAIRS]
        shared = [one[: len(other)] - other[: len(one)] for one, other in pairs]
        apart = [estimate(moved, 0, RESAMPLES) for moved in shared]
        wrong["alone"].append((holm(pd.Series([one.p for one in apart], dtype=float)) < 0.05).any())
        alone += (p.dropna() < 0.05).tolist()
        moved = [2 * stats.t.sf(abs(one.mean - EFFECT) / one.se, one.freedom) for one in found if one.se > 0]
        power += [(one < 0.05, one < 0.05 / len(PAIRS)) for one in moved]
        ends = [cells.estimate(key, 0, RESAMPLES) for key in list(cells)[: 4 * SIZES]]
        covered += [one.low <= truth <= one.high for one in ends]
    shares = [*(np.mean(each) for each in wrong.values()), np.mean(alone or math.nan), np.mean(covered)]
    return [round(100 * float(share), 1) for share in (*shares, *np.mean(power, axis=0))]


def rows() -> list[tuple]:
    """Return the rows of the table: a name, a function that makes a study's cells, and the true mean."""
    found = [
        (f"{runs} | {of_runs}", lambda draw, runs=runs, of_runs=of_runs: normal(draw, runs, of_runs), 0.0)
        for runs in (3, 5, 10)
        for of_runs in (0.02, 0.1, 0.2, 0.3, 0.4)
    ]
    return found + [
        ("3 | 0.2, two samplers of one run", lambda draw: normal(draw, 3, 0.2, single=2), 0.0),
        ("3 | 0.1 to 0.4, by cell", lambda draw: normal(draw, 3, 0.2, factor=2.0), 0.0),
        ("10 | 0.1 to 0.4, by cell", lambda draw: normal(draw, 10, 0.2, factor=2.0), 0.0),
        ("3 | 0.2, and 0.2 shared by trials", lambda draw: normal(draw, 3, 0.2, 0.2), 0.0),
        ("3 | rate of 5 %, SD 2 %", lambda draw: rates(draw, 3, 0.05, 0.02), 0.05),
        ("3 | rate of 30 %, SD 10 %", lambda draw: rates(draw, 3, 0.3, 0.1), 0.3),
        ("1 | rate of 2 %", lambda draw: rates(draw, 1, 0.02, 0.001), 0.02),
    ]


def row(studies: int, seed: int) -> str:
    name, made, truth = rows()[seed]
    return f"| {name} | {' | '.join(map(str, measured(studies, seed, made, truth)))} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    print(f"| runs | SD of a run | {' | '.join(COLUMNS)} |\n|{'---|' * (2 + len(COLUMNS))}", flush=True)
    with multiprocessing.Pool() as pool:
        for line in pool.imap(functools.partial(row, parser.parse_args().studies), range(len(rows()))):
            print(line, flush=True)
