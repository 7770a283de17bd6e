"""Write a run's answers to a benchmark as a log of inspect_ai (UK AI Security Institute), format version 2.

A `.eval` file is a zip of JSON: samples/<id>_epoch_1.json, summaries.json, header.json. A score that could not be read
is NaN with a reason, as inspect_ai itself writes one: it leaves it out of means, and counts it.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from ballast.files import STAMP, atomic
from ballast.results.run_log import RunLog, Verdicts
from ballast.running.libraries import own

VERSION = 2
WHEN = datetime.strptime(STAMP, "%Y-%m-%dT%H-%M-%S").replace(tzinfo=UTC)
CREATED = WHEN.isoformat()
STOPS = {"stop": "stop", "length": "max_tokens", "unknown": "unknown"}
# Fields of a sample that its summary repeats.
SUMMARY = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage", "uuid")


def write(path: str | Path, log: RunLog) -> None:
    """Write the log; equal logs give equal bytes."""
    samples = [_sample(log, number) for number in range(len(log.rows))]
    summaries = [
        {name: sample[name] for name in SUMMARY} | {"completed": True, "message_count": len(sample["messages"])}
        for sample in samples
    ]
    members = {f"samples/{sample['id']}_epoch_1.json": sample for sample in samples}
    members |= {"summaries.json": summaries, "header.json": _header(log)}
    with atomic(path) as temporary, ZipFile(temporary, "w", ZIP_DEFLATED) as packed:
        for name, value in members.items():
            member = ZipInfo(name, WHEN.timetuple()[:6])
            member.compress_type, member.external_attr = ZIP_DEFLATED, 0o644 << 16
            packed.writestr(member, json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _header(log: RunLog) -> dict:
    ids = [row["id"] for row in log.rows]
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": _id(log, "eval"),
            "run_id": _id(log, "run"),
            "task_id": _id(log, "task"),
            "created": CREATED,
            "task": log.benchmark,
            "dataset": {"name": log.benchmark, "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": log.model,
            "config": {"epochs": 1},
            "packages": {"ballast": own()},
            "metadata": log.facts,
            "scorers": [{"name": each.judge, "metadata": each.about} for each in log.verdicts],
        },
        "plan": {"name": "plan", "steps": [{"solver": "generate", "params": {}}]},
        "results": {
            "total_samples": len(ids),
            "completed_samples": len(ids),
            "scores": [_score(each) for each in log.verdicts],
            "metadata": {"prompts": log.asked, "prompts_without_a_response": log.asked - len(ids)},
        },
        "stats": {"started_at": CREATED, "completed_at": CREATED, "model_usage": {}},
    }


def _score(verdicts: Verdicts) -> dict:
    metric, read = verdicts.metric, len(verdicts.read)
    found = {"mean": verdicts.mean} | ({"stderr": verdicts.stderr} if read > 1 else {})
    return {
        "name": metric.name,
        "scorer": verdicts.judge,
        "scored_samples": read,
        "unscored_samples": len(verdicts.values) - read,
        "metrics": {name: {"name": name, "value": value} for name, value in found.items()},
        "metadata": {"label": metric.label, "unit": metric.unit, "better": metric.direction}
        | {"unscored": verdicts.missing, "judge": verdicts.about},
    }


def _sample(log: RunLog, number: int) -> dict:
    row = log.rows[number]
    asked = [{"content": row["prompt"], "source": "input", "role": "user"}]
    if log.system:
        asked.insert(0, {"content": log.system, "source": "input", "role": "system"})
    answer = {"content": row["response"], "source": "generate", "role": "assistant", "model": log.model}
    usage = dict(_usage(row))
    output = {
        "model": log.model,
        "choices": [{"message": answer, "stop_reason": STOPS[row["finish_reason"]]}],
        "completion": row["response"],
    }
    return {
        "id": row["id"],
        "epoch": 1,
        "uuid": _id(log, row["id"]),
        "input": asked,
        "target": row["expected"],
        "messages": [*asked, answer],
        "output": output | ({"usage": usage} if usage else {}),
        "scores": {each.metric.name: _verdict(each, number) for each in log.verdicts},
        "metadata": {"benchmark": log.benchmark, "category": row["category"], "run": log.run}
        | {"adapter_sha256": log.facts["generation"].get("adapter_sha256"), "prompt_cut": row["prompt_cut"]}
        | ({"tags": row["tags"]} if row["tags"] else {}),
        "model_usage": {log.model: usage} if usage else {},
        "store": {},
        "events": [],
        "attachments": {},
    }


def _usage(row: dict) -> Iterator[tuple[str, int]]:
    """Yield a response's token counts; nothing if they are not known, as of a server or a file."""
    counts = row["prompt_tokens"], row["response_tokens"]
    if any(counts):
        yield from zip(("input_tokens", "output_tokens", "total_tokens"), (*counts, sum(counts)), strict=True)


def _verdict(verdicts: Verdicts, number: int) -> dict:
    value, said = verdicts.values[number], verdicts.said[number]
    reason = {"reason": verdicts.why[number]} if math.isnan(value) else {}
    words = {"explanation": said} if said else {}
    about = {"judge": verdicts.judge, "unit": verdicts.metric.unit}
    return {"value": value, **words, **reason, "metadata": about}


def _id(log: RunLog, what: str) -> str:
    """Return an id made of the log's place in its study, in place of a random one."""
    return hashlib.sha256("|".join((log.study, log.run, log.benchmark, what)).encode()).hexdigest()[:22]
