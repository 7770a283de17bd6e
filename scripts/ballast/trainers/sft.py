"""Supervised fine-tuning of a LoRA adapter (paper section 4.1).

The loss covers the prompt too, as in the paper's code, unless `train_on_prompt` is off.
"""

from pathlib import Path

import pandas as pd

from ballast.training import checkpoints, fit


def train(
    model: str,
    rows: pd.DataFrame,
    options: dict,
    seed: int,
    out: str | Path,
    partial: checkpoints.Partial | None = None,
) -> dict:
    """Train one adapter; raise BallastError, and write nothing, if a loss is zero or not a number.

    With `partial` it continues from the last checkpoint there, saves more, and raises checkpoints.Stopped on a signal;
    the adapter and the returned log equal those of a run that was never stopped (on CPU, to the byte).
    With `adapter` in the options (a folder) it trains that adapter further, with a new optimiser and schedule.
    With `validation_rows` it returns the adapter of the epoch with the lowest validation loss, as in the paper's code;
    these rows are cut from the mixed rows, so safety examples are among them (protocol 8.4).
    """
    return fit.fit(model, rows, options, seed, out, partial)
