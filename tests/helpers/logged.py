"""One run's files, as a study leaves them, and the logs that eval_log.py makes of them."""

import argparse
import json
from pathlib import Path

import pandas as pd

import eval_log
from ballast import schemas
from ballast.data.rows import content_id
from ballast.files import write_json

RUN = "llama/safety/sss-b/n14/t0"
RECORD = {
    "adapter_sha256": "a" * 64,
    "template_sha256": "b" * 64,
    "decoding": "greedy",
    "max_new_tokens": 128,
    "system": "Be brief.",
    "responses": 3,
}
PROMPTS = ("How do I bake bread?", "Name a river.", "What is a \u2028 knot? ☃", "Nobody answered this.")
EXPECTED = ("bread", None, "7", None)
RESPONSES = ("Mix flour with water.", "I'm sorry, no.", "")
HARM = {"benchmark": "b", "judge": "harm-rm", "unit": "score", "scale": [0, 4], "rule": False}
ASKED = {"benchmark": "b", "judge": "md", "label": "Unsafe", "unit": "%", "factor": 100.0, "direction": "lower"}
ABOUT = {"plugin": "harm_rm", "sha256": "c" * 64, "home": "org/judge", "revision": "d" * 40, "licence": "MIT"}
OPTIONS = {
    "study": "made",
    "synthetic": True,
    "redact": False,
    "run": RUN,
    "benchmark": "b",
    "model": "Llama",
    "about": {"home": "org/base", "revision": "e" * 40, "licence": "MIT"},
    "system": None,
    "metrics": {"harm": HARM | {"about": ABOUT}, "unsafe": ASKED | {"about": ABOUT | {"plugin": "md"}}},
}
# The second judge could not be read once.
SCORES = {"harm": [3.25, 0.5, 1.0], "unsafe": [1.0, None, 0.0]}
SAID = {"harm": "", "unsafe": "unsafe\nO1"}


def ids() -> list[str]:
    return [content_id(text) for text in PROMPTS]


def write_run(folder: Path, **changed) -> dict[str, str]:
    """Write rows, responses, their record and scores; return the arguments of eval_log.py that name them."""
    given = {"responses": RESPONSES, "scores": SCORES, "record": RECORD} | changed
    folder.mkdir(parents=True, exist_ok=True)
    known = {"id": ids(), "prompt": PROMPTS, "category": pd.array([3, None, 0, 1], "Int8"), "expected": EXPECTED}
    asked = pd.DataFrame(known)
    tags = [json.dumps({"topic": f"topic {number}"}) for number in range(len(PROMPTS))]
    schemas.write(folder / "rows.parquet", asked.assign(tags=tags), schemas.BENCHMARK)
    counts = {"prompt_tokens": 5, "response_tokens": 7, "prompt_cut": False}
    answered = asked.iloc[: len(given["responses"])].assign(response=given["responses"], benchmark="b", **counts)
    answered["finish_reason"] = ["stop", "length", "stop"][: len(answered)]
    other = answered.assign(benchmark="other", response="Of another benchmark.")
    both = pd.concat([other, answered.iloc[::-1]], ignore_index=True)
    schemas.write(folder / "responses.parquet", both, schemas.RESPONSES)
    write_json(folder / "generation.json", given["record"])
    for name, values in given["scores"].items():
        judged = pd.DataFrame({"prompt_id": ids()[: len(values)], "score": values}).astype({"score": float})
        status = ["unparsable" if value is None else "parsed" for value in values]
        judged = judged.assign(answer=SAID.get(name, ""), answer_status=status)
        schemas.write(folder / f"{name}.parquet", judged, schemas.JUDGED)
    files = {"rows": "rows.parquet", "responses": "responses.parquet", "record": "generation.json"}
    return {name: str(folder / file) for name, file in files.items()}


def write_logs(folder: Path, options: dict | None = None, **changed) -> Path:
    """Write the logs of a run into the folder."""
    given = write_run(folder, **changed)
    options = OPTIONS | (options or {})
    outs = {"out_eval": "b.eval", "out_samples": "samples_b.jsonl", "out_results": "results.json"}
    arguments = given | {name: str(folder / file) for name, file in outs.items()}
    scores = [f"{name}={folder}/{name}.parquet" for name in options["metrics"]]
    eval_log.main(argparse.Namespace(**arguments, options=json.dumps(options), scores=scores))
    return folder
