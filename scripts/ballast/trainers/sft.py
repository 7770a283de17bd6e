"""Supervised fine-tuning of a LoRA adapter (paper section 4.1).

The loss covers the prompt too unless `train_on_prompt` is off: the paper's code trains on inputs.
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
    """Train one adapter; raises BallastError on a loss that is zero or not a number, and then writes nothing.

    With `partial` it continues from the last checkpoint there, saves more, and raises checkpoints.Stopped on a signal;
    the adapter and the returned log are those of a run that was never stopped (on CPU, to the byte).
    With `adapter` in the options (a folder) that one is trained on, with a new optimiser and schedule.
    With `validation_rows` the adapter is that of the epoch with their lowest loss, as in the paper's code; they are
    cut from the mixed rows, so safety examples are among them (protocol 8.4).
    """
    return fit.fit(model, rows, options, seed, out, partial)
