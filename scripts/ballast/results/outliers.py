"""Find runs whose training loss or refusal rate differs from that of similar runs.

The expected value of a run is a cell effect plus a trial effect: samplers differ, and so do the seeds that all runs of
a trial at one n share. Externally studentised residuals (Cook and Weisberg, Residuals and Influence in Regression,
1982) keep an outlier from widening its own spread. Holm's correction is over all runs of the study.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from ballast.results.findings import FINE, LOOK, UNDECIDED, Finding
from ballast.results.statistics import holm

LOSS, REFUSAL = "training loss of runs", "refusal rate of runs"
ALPHA = 0.05
# With fewer degrees of freedom only a huge outlier would be significant after correction.
FREEDOM = 4
# A smaller outlier does not matter even if significant: share of the expected loss, points of refusals.
MATTERS = {LOSS: 0.05, REFUSAL: 5.0}
CELL = ["pool", "sampler", "n"]


def residuals(runs: pd.DataFrame) -> pd.DataFrame:
    """Return `runs` (model, pool, sampler, n, trial, benchmark, value) with `expected`, `t` and Holm's `p`.

    These are missing for a run alone in its cell or alone at its n in its trial, or if its model has too few runs.
    """
    runs = runs.assign(expected=np.nan, t=np.nan, p=np.nan)
    for _, family in runs.dropna(subset="value").groupby(["model", "benchmark"]):
        cell, trial = family.groupby(CELL).ngroup(), family.groupby(["n", "trial"]).ngroup()
        design = np.hstack([pd.get_dummies(cell), pd.get_dummies(trial)]).astype(float)
        fitted, t, freedom = _studentised(family["value"].to_numpy(), design)
        if freedom >= FREEDOM:
            runs.loc[family.index, ["expected", "t"]] = np.column_stack([fitted, t])
            runs.loc[family.index, "p"] = 2 * stats.t.sf(np.abs(t), freedom - 1)
    return runs.assign(p=holm(runs["p"]))


def outliers(signature: str, runs: pd.DataFrame, to_try: str) -> Finding:
    """Return the finding for LOSS or REFUSAL. `runs` as in `residuals`, refusals in percent."""
    judged = residuals(runs)
    beyond = judged["value"] - judged["expected"]
    size = beyond / judged["expected"] if signature == LOSS else beyond
    found = judged[(judged["p"] < ALPHA) & (size.abs() > MATTERS[signature])].sort_values("p", kind="stable")
    of = judged.drop_duplicates(["model", *CELL, "trial"])
    seen = judged[judged["p"].notna()].drop_duplicates(["model", *CELL, "trial"])
    alone = f", {len(of) - len(seen)} have too few like them to be judged" if len(of) > len(seen) else ""
    if seen.empty:
        numbers = f"none of {len(of)} runs has enough like it" if len(of) else "no run is there"
        return Finding(signature, UNDECIDED, numbers, "raise experiments.sampling.trials to 2 or more")
    details = [_line(row, signature) for row in found.itertuples()]
    named = f"{len(details)} of {len(seen)} runs stand out{alone}"
    named += f": {'; '.join(_name(row) for row in found.head(3).itertuples())}" if details else ""
    largest = float(size[judged["p"].notna()].abs().max())
    verdict = LOOK if details else FINE
    return Finding(signature, verdict, named, to_try if details else "nothing", largest, MATTERS[signature], details)


def runs_table(rows: Sequence[dict]) -> pd.DataFrame:
    """Return a table of model, pool, sampler, n, trial, benchmark, value for `residuals`."""
    return pd.DataFrame(rows, columns=["model", *CELL, "trial", "benchmark", "value"])


def _studentised(values: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Return least-squares fit, externally studentised residuals, degrees of freedom; `design` may lack full rank.

    The residual of a run with a parameter of its own is missing.
    """
    left, scale, _ = np.linalg.svd(design, full_matrices=False)
    basis = left[:, scale > 1e-9 * scale[0]]
    fitted, hat = basis @ (basis.T @ values), (basis**2).sum(axis=1)
    freedom = len(values) - basis.shape[1]
    beyond = values - fitted
    beyond[np.abs(beyond) < 1e-9 * max(1.0, np.abs(values).max())] = 0.0  # equal except for rounding
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = np.where(beyond == 0, 0.0, beyond / np.sqrt(np.sum(beyond**2) / freedom * (1 - hat)))
        outer = inner * np.sqrt((freedom - 1) / np.maximum(freedom - inner**2, 0.0))
    return fitted, np.where(hat > 1 - 1e-9, np.nan, outer), freedom


def _name(row) -> str:
    where = f" on {row.benchmark}" if row.benchmark else ""
    return f"{row.model}/{row.pool}/{row.sampler}/n{row.n}/t{row.trial}{where}"


def _line(row, signature: str) -> str:
    unit, digits = ("", 3) if signature == LOSS else (" %", 1)
    t = "beyond measure" if math.isinf(row.t) else f"{row.t:+.1f}"
    return f"{_name(row)}: {row.value:.{digits}f}{unit}, expected {row.expected:.{digits}f}{unit}; residual t {t}"
