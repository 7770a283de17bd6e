"""How often intervals and families of tests are wrong where the truth is known: the table of docs/statistics.md.

    python benchmarks/intervals.py [--studies 400]

A study has Random and seven samplers at three n. None differs from Random, so each difference that Holm's adjustment
calls significant is wrong. Scores are normal: a run, a prompt in each cell, and noise.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

from ballast.results.statistics import Cells, difference, holm

PROMPTS, OF_PROMPTS, NOISE, SAMPLERS, SIZES = 112, 0.5, 1.0, 7, 3


def study(draw: np.random.Generator, runs: int, of_runs: float, of_trials: float, single: int) -> Cells:
    """Return null cells by (sampler, n); sampler 0 is Random. The last `single` samplers have one run, as if always equal."""
    asked, trial = draw.normal(0, 1, PROMPTS), draw.normal(0, of_trials, runs)
    cells = {}
    for sampler in range(SAMPLERS + 1):
        for n in range(SIZES):
            mine = draw.normal(0, OF_PROMPTS, PROMPTS) + asked + draw.normal(0, NOISE, (runs, PROMPTS))
            mine = mine + (trial + draw.normal(0, of_runs, runs))[:, None]
            cells[sampler, n] = pd.DataFrame(mine[: 1 if sampler > SAMPLERS - single else None])
    return Cells(cells)


def wrong(studies: int, runs: int, of_runs: float, of_trials: float = 0.0, single: int = 0) -> dict[str, float]:
    """Return, in %: studies with a false finding, each difference alone by itself, and what intervals cover."""
    draw = np.random.default_rng(5)
    family, alone, covered = {"before": [], "now": []}, [], []
    for _ in range(studies):
        cells = study(draw, runs, of_runs, of_trials, single)
        pairs = [((sampler, n), (0, n)) for sampler in range(1, SAMPLERS + 1) for n in range(SIZES)]
        for name, by in (
            ("before", lambda a, b: difference(cells[a], cells[b], 0, 200)),
            ("now", lambda a, b: cells.difference(a, b, 0, 200)),
        ):
            found = [by(*pair) for pair in pairs]
            p = pd.Series([one.p for one in found], dtype=float)
            family[name].append((holm(p) < 0.05).any())
        alone += [one.p < 0.05 for one in found if one.p == one.p]
        covered += [cells.estimate(key, 0, 200).low <= 0 <= cells.estimate(key, 0, 200).high for key in list(cells)[:4]]
    share = lambda values: round(100 * float(np.mean(values)), 1)  # noqa: E731
    return {
        "before": share(family["before"]),
        "now": share(family["now"]),
        "single tests": share(alone),
        "coverage": share(covered),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=400)
    given = parser.parse_args()
    for runs in (3, 5, 10):
        for of_runs in (0.02, 0.1, 0.2, 0.3, 0.4):
            print(runs, of_runs, wrong(given.studies, runs, of_runs), flush=True)
