"""Compare the CPU seconds and the elapsed time of each method with plain training's, from the logs of its jobs.

Another run of the study measures other times, so they are kept apart from the tables.
"""

import math
import re
from pathlib import Path

import pandas as pd

from ballast.markup import MISSING, pipe_table
from ballast.names import NONE, RANDOM, in_order, sampler_label
from ballast.results import all_methods, notes
from ballast.running import used
from ballast.study.artefacts import Options

STAGES = ["sample", "filter", "train", "transform"]
CONTINUED = re.compile(r"^train: continues from step", re.MULTILINE)
COLUMNS = ["sampler", "n", *STAGES, "run", "sft", "ratio", "elapsed", "elapsed_ratio"]
COLUMNS += ["shared", "shared_ratio", "runs", "missing"]


def seconds(log: str, elapsed: bool = False) -> float:
    """Return the CPU or elapsed seconds of the job that wrote a log; NaN if it lacks them or covers its last part."""
    found = used.read(log)
    if found is None or CONTINUED.search(Path(log).read_text(errors="replace")):
        return math.nan
    return found.elapsed if elapsed else found.seconds


def table(logs: dict) -> pd.DataFrame:
    """Return COLUMNS, one row per method and n: medians over runs, and their ratio to plain training with as many rows.

    `logs`: {"runs": [{"sampler", "n", and a log's path by stage}], "shared": {sampler: paths of logs}}. A run
    without one of its logs is left out and counted. `sft` is one run of Random with the same n, or of base data alone;
    `shared` is spent once for all runs of a method.
    """
    times = [{stage: seconds(run[stage]) if stage in run else 0.0 for stage in STAGES} for run in logs["runs"]]
    runs = pd.DataFrame([run | spent for run, spent in zip(logs["runs"], times, strict=True)])
    runs["run"] = runs[STAGES].sum(axis=1, skipna=False)
    runs["elapsed"] = [sum(seconds(run[stage], True) for stage in STAGES if stage in run) for run in logs["runs"]]
    cells = runs.groupby(["sampler", "n"])["run"].agg(runs="size", missing=lambda run: run.isna().sum())
    whole = runs[runs["run"].notna()].groupby(["sampler", "n"])[[*STAGES, "run", "elapsed"]].median()
    found = cells.join(whole).reset_index()
    plain = whole.reindex(pd.MultiIndex.from_tuples([(RANDOM if n else NONE, n) for n in found["n"]]))
    found["sft"], found["elapsed_ratio"] = plain["run"].to_numpy(), found["elapsed"] / plain["elapsed"].to_numpy()
    found["shared"] = [sum(map(seconds, logs["shared"].get(sampler, []))) for sampler in found["sampler"]]
    found["ratio"], found["shared_ratio"] = found["run"] / found["sft"], found["shared"] / found["sft"]
    order = in_order(run["sampler"] for run in logs["runs"])
    return found.sort_values("sampler", key=lambda column: column.map(order.index), kind="stable")[COLUMNS].round(3)


def page(options: Options, found: pd.DataFrame) -> str:
    """Return the table at the middle n in Markdown, with notes on its limits."""
    n = all_methods.middle(options)
    shown = found[found["n"].isin([0, n])]
    body = [
        [sampler_label(row["sampler"]), str(row["n"]), *(_spelled(row[stage]) for stage in STAGES)]
        + [
            _spelled(row["run"]),
            _spelled(row["ratio"]),
            _spelled(row["elapsed_ratio"]),
            _spelled(row["shared"]),
            _spelled(row["shared_ratio"]),
        ]
        for row in shown.to_dict("records")
    ]
    header = [
        "Method",
        "n",
        "Sampling",
        "Filter",
        "Training",
        "Transform",
        "One run",
        "Times SFT",
        "Elapsed, times SFT",
    ]
    header += ["Shared", "Shared, in SFT runs"]
    lost = int(found["missing"].sum())
    said = [
        "Measured on the machine that ran the jobs: not reproducible, and no part of any other table.",
        "CPU seconds, user and system, medians over trials; a CPU's seconds, so of a GPU they say little.",
        "Elapsed, times SFT: the same ratio in elapsed time. A training job holds its GPU for that time, so on a "
        "GPU this is the overhead. On shared CPU cores it depends on the jobs beside it. The CSV has the seconds.",
        "Times SFT: one run against one of Random with the same n (with n 0 against base data alone).",
        "Shared: features by model and filters that do not depend on the trial, made once for all runs of a method; "
        "what several methods share is in each of them. Labels, embeddings, generation and judging are in none.",
        "A job that forks from the preloaded process spends nothing on imports, one that runs alone some seconds.",
        *([f"{lost} runs are left out: they went on from a checkpoint, or have no log."] if lost else []),
        *notes.synthetic(options),
    ]
    lines = "\n".join(f"- {line}" for line in said)
    return f"# CPU seconds by method\n\nStudy {options.study}, n = {n}.\n\n{pipe_table(header, body)}\n\n{lines}\n"


def _spelled(value: float) -> str:
    return MISSING if pd.isna(value) else f"{value:.2f}"
