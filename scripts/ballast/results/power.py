"""Compute how many trials a difference needs, by the power of a paired t-test over trials."""

import math

from scipy import stats
from scipy.optimize import brentq

ALPHA = 0.05
POWER = 0.8  # the usual power of a planned comparison (Cohen, 1988)
MANY_TRIALS = 1000  # a number above this is not printed


def trials_for(effect: float, comparisons: int = 1, freedom: float = 0) -> float:
    """Return the number of trials that find a difference of `effect` SDs in 80 % of studies.

    `comparisons`: those that the test is corrected for. `freedom`: degrees of freedom of the SD if it is known from
    more than these trials. Infinite beyond MANY_TRIALS.
    """
    few, many = 1, 2
    while not _power(effect, many, comparisons, freedom) >= POWER:
        few, many = many, 2 * many
        if few > MANY_TRIALS:
            return math.inf
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if _power(effect, middle, comparisons, freedom) >= POWER else (middle, many)
    return many


def detectable(trials: int, comparisons: int = 1, freedom: float = 0) -> float:
    """Return the difference, in SDs of paired trials, that so many trials find in 80 % of studies."""
    most = 1.0
    while _power(most, trials, comparisons, freedom) < POWER:
        most *= 2
    return float(brentq(lambda effect: _power(effect, trials, comparisons, freedom) - POWER, 0.0, most))


def trials_said(count: float) -> str:
    return f"more than {MANY_TRIALS:,} trials" if count > MANY_TRIALS else f"{count:.0f} trials"


def _power(effect: float, trials: int, comparisons: int, freedom: float) -> float:
    freedom = max(freedom, trials - 1)
    at = stats.t.isf(ALPHA / comparisons / 2, freedom)
    return float(stats.nct.sf(at, freedom, effect * math.sqrt(trials)))
