"""CPU seconds of each method beside those of plain training, as its own jobs measured them.

Times are measured, not made: another run gives other numbers, so they stand apart from the tables. The last line of a
job's log says what the stage used (scripts/stage.py).
"""

import re
import statistics
from pathlib import Path

import pandas as pd

from ballast.markup import MISSING, pipe_table
from ballast.names import NONE, RANDOM, in_order, sampler_label
from ballast.results import all_methods, notes
from ballast.study.artefacts import Options

STAGES = ("sample", "filter", "train", "transform")
USED = re.compile(r"^\w+: ([\d.]+) \+ ([\d.]+) CPU seconds", re.MULTILINE)
CONTINUED = re.compile(r"^train: continues from step", re.MULTILINE)
COLUMNS = ["sampler", "n", *STAGES, "run", "sft", "ratio", "shared", "shared_ratio", "runs", "missing"]


def seconds(log: str) -> float | None:
    """CPU seconds of the job that wrote a log; None where it says none, or tells of the last part of a job alone."""
    path = Path(log)
    text = path.read_text(errors="replace") if path.is_file() else ""
    found = USED.findall(text)
    return None if not found or CONTINUED.search(text) else sum(map(float, found[-1]))


def table(logs: dict) -> pd.DataFrame:
    """COLUMNS, a row a method and n: medians over runs, and how many times those of plain training with as many rows.

    `logs`: {"runs": [{"sampler", "n", and a log's path by stage}], "shared": {sampler: paths of logs}}. A run of which
    a log is missing is left out and counted. `sft` is one run of Random with the same n, or of base data alone;
    `shared` is what all runs of a method share, made once.
    """
    runs = pd.DataFrame([run | _stages(run) for run in logs["runs"]])
    runs["missing"] = runs["run"].isna()
    rows = []
    for sampler in in_order(run["sampler"] for run in logs["runs"]):
        shared = [seconds(path) for path in logs["shared"].get(sampler, [])]
        for n, cell in runs[runs["sampler"] == sampler].groupby("n"):
            plain = _median(runs[(runs["sampler"] == (RANDOM if n else NONE)) & (runs["n"] == n)]["run"])
            row = {name: _median(cell.loc[~cell["missing"], name]) for name in (*STAGES, "run")}
            whole = None if None in shared else sum(shared)
            row |= {"sampler": sampler, "n": n, "sft": plain, "ratio": _ratio(row["run"], plain), "shared": whole}
            row |= {"shared_ratio": _ratio(whole, plain), "runs": len(cell), "missing": int(cell["missing"].sum())}
            rows.append(row)
    return pd.DataFrame(rows, columns=COLUMNS).round(3)


def page(options: Options, found: pd.DataFrame) -> str:
    """The table at the middle n in Markdown, with what it is and is not."""
    n = all_methods.middle(options)
    shown = found[found["n"].isin([0, n])]
    body = [
        [sampler_label(row["sampler"]), str(row["n"]), *(_spelled(row[stage]) for stage in STAGES)]
        + [_spelled(row["run"]), _spelled(row["ratio"]), _spelled(row["shared"]), _spelled(row["shared_ratio"])]
        for row in shown.to_dict("records")
    ]
    header = ["Method", "n", "Sampling", "Filter", "Training", "Transform", "One run", "Times SFT"]
    header += ["Shared", "Shared, in SFT runs"]
    lost = int(found["missing"].sum())
    said = [
        "Measured on the machine that ran the jobs: not reproducible, and no part of any other table.",
        "CPU seconds, user and system, medians over trials; a CPU's seconds, so of a GPU they say little.",
        "Times SFT: one run against one of Random with the same n (with n 0 against base data alone).",
        "Shared: features by model and filters that do not depend on the trial, made once for all runs of a method; "
        "what several methods share is in each of them. Labels, embeddings, generation and judging are in none.",
        "A job that forks from the preloaded process spends nothing on imports, one that runs alone some seconds.",
        *([f"{lost} runs are left out: they went on from a checkpoint, or have no log."] if lost else []),
        *notes.synthetic(options),
    ]
    lines = "\n".join(f"- {line}" for line in said)
    return f"# CPU seconds by method\n\nStudy {options.study}, n = {n}.\n\n{pipe_table(header, body)}\n\n{lines}\n"


def _stages(run: dict) -> dict:
    """Seconds of a run by stage, 0 of a stage that it does not have, and their sum; all missing where one is."""
    times = {stage: seconds(run[stage]) if stage in run else 0.0 for stage in STAGES}
    return times | {"run": None if None in times.values() else sum(times.values())}


def _median(values: pd.Series) -> float | None:
    there = values.dropna()
    return statistics.median(there) if len(there) else None


def _ratio(value: float | None, base: float | None) -> float | None:
    return None if value is None or not base else value / base


def _spelled(value: float | None) -> str:
    return MISSING if value is None or pd.isna(value) else f"{value:.2f}"
