"""Write a run's answers to a benchmark as lm-evaluation-harness 0.4 (EleutherAI) does with `--log_samples`.

samples_<task>_<date>.jsonl has a line per response, results_<date>.json the means: the task is the benchmark, and each
metric is one of the harness. A score that could not be read is null, and out of the mean.
"""

import hashlib
import json
import math
import re
from pathlib import Path

from ballast.files import write_json, write_text
from ballast.results.run_log import RunLog

# The harness names the way from a response to its answer; Ballast's judges read the response itself.
FILTER = "none"


def write(samples: str | Path, results: str | Path, log: RunLog) -> None:
    """Write both files; equal logs give equal bytes."""
    lines = [_sample(log, number) for number in range(len(log.rows))]
    write_text(samples, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    hashes = "".join(line["doc_hash"] + line["prompt_hash"] + line["target_hash"] for line in lines)
    write_json(results, _results(log) | {"task_hashes": {log.benchmark: _hash(hashes)}})


def _sample(log: RunLog, number: int) -> dict:
    row = log.rows[number]
    doc = {"id": row["id"], "prompt": row["prompt"], "category": row["category"], "tags": row["tags"]}
    values = {each.metric.name: each.values[number] for each in log.verdicts}
    return {
        "doc_id": row["place"],
        "doc": doc,
        "target": row["expected"],
        "arguments": {"gen_args_0": {"arg_0": row["prompt"], "arg_1": _generation(log)}},
        "resps": [[row["response"]]],
        "filtered_resps": [row["response"]],
        "filter": FILTER,
        "metrics": list(values),
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(row["prompt"]),
        "target_hash": _hash(row["expected"]),
        **{name: None if math.isnan(value) else value for name, value in values.items()},
    }


def _results(log: RunLog) -> dict:
    found: dict[str, object] = {"alias": log.benchmark}
    for each in log.verdicts:
        name = each.metric.name
        found[f"{name},{FILTER}"] = each.mean if len(each.read) else None
        found[f"{name}_stderr,{FILTER}"] = each.stderr if len(each.read) > 1 else "N/A"
    task, better = log.benchmark, {each.metric.name: each.metric.direction == "higher" for each in log.verdicts}
    described = {
        each.metric.name: {"label": each.metric.label, "unit": each.metric.unit, "judge": each.judge}
        | {"scored": len(each.read), "unscored": each.missing, "about": each.about}
        for each in log.verdicts
    }
    listed = [{"metric": name, "aggregation": "mean", "higher_is_better": higher} for name, higher in better.items()]
    return {
        "results": {task: found},
        "group_subtasks": {task: []},
        "configs": {
            task: {
                "task": task,
                "output_type": "generate_until",
                "num_fewshot": 0,
                "repeats": 1,
                "generation_kwargs": _generation(log),
                "metric_list": listed,
                "metadata": {"version": 0, "metrics": described},
            }
        },
        "versions": {task: 0},
        "n-shot": {task: 0},
        "higher_is_better": {task: better},
        "n-samples": {task: {"original": log.asked, "effective": len(log.rows)}},
        "config": {"model": "ballast", "model_args": f"pretrained={log.run}", "metadata": log.facts},
        "model_source": "ballast",
        "model_name": log.run,
        "model_name_sanitized": re.sub(r'["<>:/|\\?*\[\]]+', "__", log.run),
        "system_instruction": log.system,
        "chat_template_sha": log.facts["generation"].get("template_sha256"),
    }


def _generation(log: RunLog) -> dict:
    """Return the decoding in the harness's words; nothing of a model elsewhere, whose decoding is not known."""
    made = log.facts["generation"]
    beams = re.fullmatch(r"beam(\d+)", made.get("decoding", ""))
    known = {"do_sample": False, **({"num_beams": int(beams[1])} if beams else {})} if "decoding" in made else {}
    return known | ({"max_gen_toks": made["max_new_tokens"]} if "max_new_tokens" in made else {})


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
