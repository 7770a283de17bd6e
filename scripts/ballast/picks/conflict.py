"""What a safety row does to the task, and fine-tuning to it: what samplers and the gradient report take from gradients.

A row's conflict with the task is -cos(its gradient, the task's mean gradient): 1 where a step on the task undoes a step
on the row. Its loss increase is its loss at the warmed-up point less that under the model as it is.
"""

import numpy as np
import pandas as pd

from ballast.picks.gradients import Gradients
from ballast.picks.vectors import positions


def conflicts(gradients: Gradients, rows: np.ndarray, task: np.ndarray) -> np.ndarray:
    """-1 to 1 for each of `rows` (rising, `learnt`); `task` is the task's direction, projected."""
    return -gradients.cosines(rows, task)


def increases(gradients: Gradients, rows: np.ndarray, logprobs: pd.Series) -> np.ndarray:
    """Nats per token by which fine-tuning on the task raises each row's loss."""
    known = logprobs.to_numpy()[positions(logprobs.index, gradients.names(rows), "logprobs")]
    return gradients.losses[rows] + np.array([each.mean(dtype=np.float64) for each in known])


def standardised(values: np.ndarray) -> np.ndarray:
    """Less the mean, over the standard deviation; zeros where all are alike."""
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-12 else np.zeros(len(values))
