"""Read results of lm-evaluation-harness (EleutherAI) that somebody has, and show them side by side.

Such as IFEval or MMLU before and after a fine-tuning: capability, which no judge of ours measures.
"""

import math
from collections.abc import Mapping

from ballast.files import BallastError, read_json
from ballast.markup import markdown, pipe_table

Z = 1.959964


def read(path: str) -> dict[tuple[str, str], dict]:
    """Return value, stderr (or None) and prompts (or None) by task and metric, such as `acc, none`.

    Raises BallastError if the file is no results file of the harness.
    """
    raw = read_json(path)
    tasks = raw.get("results") if isinstance(raw, dict) else None
    if not isinstance(tasks, dict) or not all(isinstance(values, dict) for values in tasks.values()):
        raise BallastError(
            f"{path}: no 'results' of tasks here; give the file results_<date>.json that lm_eval --output_path wrote"
        )
    counts = raw.get("n-samples") or {}
    found = {}
    for task, values in tasks.items():
        for key, value in values.items():
            name, comma, kind = key.partition(",")
            if comma and not name.endswith("_stderr") and _is_number(value):
                error = values.get(f"{name}_stderr,{kind}")
                found[task, f"{name}, {kind}"] = {
                    "value": float(value),
                    "stderr": float(error) if _is_number(error) else None,
                    "prompts": (counts.get(task) or {}).get("effective"),
                }
    if not found:
        raise BallastError(f"{path}: no task of its results has a number")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def compare(results: Mapping[str, dict[tuple[str, str], dict]], before: str) -> dict:
    """Return, by task and metric, each model's numbers and its unpaired difference from the model before.

    `results`: model -> `read`. The 95 % interval of a difference takes the harness's own standard errors.
    """
    found: dict[str, dict] = {}
    for task, metric in dict.fromkeys(key for each in results.values() for key in each):
        models = {model: dict(each[task, metric]) for model, each in results.items() if (task, metric) in each}
        start = models.get(before)
        for model, one in models.items():
            if start and model != before:
                one["difference"] = {"mean": one["value"] - start["value"], **_ends(one, start)}
        found.setdefault(task, {})[metric] = models
    return found


def _ends(one: dict, start: dict) -> dict:
    if one["stderr"] is None or start["stderr"] is None:
        return {"low": None, "high": None}
    middle, half = one["value"] - start["value"], Z * math.hypot(one["stderr"], start["stderr"])
    return {"low": middle - half, "high": middle + half}


def paragraphs(found: dict, labels: Mapping[str, str]) -> list[str]:
    """Return the part of measure.md. `labels`: model -> its name on the page."""
    body, unequal = [], []
    for task, metrics in found.items():
        for metric, models in metrics.items():
            body += [
                [
                    markdown(task),
                    markdown(metric),
                    markdown(labels.get(model, model)),
                    _number(one["value"], one["stderr"]),
                    one["prompts"] if one["prompts"] is not None else "",
                    _difference(one),
                ]
                for model, one in models.items()
            ]
        sizes = {one["prompts"] for models in metrics.values() for one in models.values()}
        unequal += [task] * (len(sizes) > 1)
    said = (
        "From the results files of lm-evaluation-harness in `measure.harness`. Ballast did not run these tasks; a "
        "difference is unpaired, and its 95 % interval takes the standard errors of the files."
    )
    if unequal:
        said += f" Other numbers of prompts before and after: {markdown(', '.join(unequal))}."
    header = ["Task", "Metric", "Model", "Value (SE)", "Prompts", "After minus before (95 %)"]
    return ["## Capability, by lm-evaluation-harness", pipe_table(header, body), said]


def _number(value: float, error: float | None) -> str:
    return f"{value:.3f}" + (f" ({error:.3f})" if error is not None else "")


def _difference(one: dict) -> str:
    change = one.get("difference")
    if not change:
        return ""
    ends = f" ({change['low']:+.3f} to {change['high']:+.3f})" if change["low"] is not None else ""
    return f"{change['mean']:+.3f}{ends}"
