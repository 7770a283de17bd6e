"""Report a run's training to an experiment tracker, by the Trainer's own integration of it."""

import importlib.util
import os
from pathlib import Path

from ballast.files import BallastError

OFF = "off"
# Each tracker with the variable that names its project, unless TrainingArguments do.
TRACKERS = {"wandb": "WANDB_PROJECT", "trackio": None, "mlflow": "MLFLOW_EXPERIMENT_NAME"}


def arguments(tracker: str, out: str | Path) -> dict:
    """Return the TrainingArguments of a tracker: the project is the study, the run's name is its folder below runs/.

    `out`: results/<study>/runs/<run>. Raises BallastError if the tracker is not installed. Nothing here enters a
    checkpoint's key: tracking changes no weight.
    """
    if tracker == OFF:
        return {"report_to": []}
    if not importlib.util.find_spec(tracker):
        raise BallastError(
            f"training.tracking: {tracker} is not installed in this environment; pip install {tracker}, or leave the "
            "key out"
        )
    *_, study, _, model, pool, sampler, n, trial = Path(out).parts
    if TRACKERS[tracker]:
        os.environ.setdefault(TRACKERS[tracker], study)
    return {"report_to": [tracker], "project": study, "run_name": f"{model}/{pool}/{sampler}/{n}/{trial}"}
