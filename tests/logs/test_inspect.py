"""The `.eval` logs, opened by inspect_ai itself in an environment of its own: `make test-logs`."""

import json
import math
import statistics
import subprocess
from pathlib import Path

import pytest
from helpers.logged import OPTIONS, PROMPTS, RESPONSES, RUN, SAID, SCORES, ids, write_logs

pytestmark = pytest.mark.logs
PYTHON = Path(__file__).parents[2] / ".venv-inspect/bin/python"
# A program of inspect_ai's side, which knows nothing of Ballast.
READER = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries
from inspect_ai.scorer import SampleScore, mean, stderr

log = read_eval_log(sys.argv[1])
read = {
    "status": log.status, "task": log.eval.task, "model": log.eval.model, "metadata": log.eval.metadata,
    "results": log.results.model_dump(), "samples": [sample.model_dump() for sample in log.samples],
    "summaries": [each.model_dump() for each in read_eval_log_sample_summaries(sys.argv[1])],
    "one": read_eval_log_sample(sys.argv[1], id=sys.argv[3]).output.completion,
    "listed": [each.task for each in list_eval_logs(sys.argv[2])],
}
scores = {name: [SampleScore(score=sample.scores[name]) for sample in log.samples] for name in log.samples[0].scores}
read["again"] = {name: [mean()(each), stderr()(each)] for name, each in scores.items()}
print(json.dumps(read))
"""


def read(folder: Path, sample: str) -> dict:
    """What inspect_ai reads of the log in a folder."""
    told = [PYTHON, "-c", READER, folder / "b.eval", folder, sample]
    done = subprocess.run(told, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_inspect_ai_reads_prompts_answers_scores_and_what_is_missing(tmp_path):
    found = read(write_logs(tmp_path), ids()[1])
    assert (found["status"], found["task"], found["model"]) == ("success", "b", "Llama")
    assert found["listed"] == ["b"] and found["one"] == RESPONSES[1] and found["metadata"]["run"] == RUN
    samples = {sample["id"]: sample for sample in found["samples"]}
    for place, one in enumerate(ids()[:3]):
        sample = samples[one]
        assert sample["input"][0]["content"] == PROMPTS[place] and sample["input"][0]["role"] == "user"
        assert sample["output"]["completion"] == RESPONSES[place]
        assert sample["scores"]["harm"]["value"] == SCORES["harm"][place]
        assert sample["scores"]["unsafe"]["explanation"] == SAID["unsafe"]
    missing = samples[ids()[1]]
    assert math.isnan(missing["scores"]["unsafe"]["value"]) and missing["scores"]["unsafe"]["reason"] == "unparsable"
    assert missing["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert [one["id"] for one in found["summaries"]] == ids()[:3]


def test_inspect_ais_own_metrics_of_the_samples_are_the_logs_results(tmp_path):
    found = read(write_logs(tmp_path), ids()[0])
    harm, unsafe = found["results"]["scores"]
    assert [harm["metrics"][name]["value"] for name in ("mean", "stderr")] == pytest.approx(found["again"]["harm"])
    assert harm["metrics"]["mean"]["value"] == pytest.approx(statistics.mean(SCORES["harm"]))
    assert unsafe["metrics"]["mean"]["value"] == 50.0 and unsafe["unscored_samples"] == 1


def test_inspect_ai_reads_a_redacted_log(tmp_path):
    found = read(write_logs(tmp_path, {"redact": True}), ids()[0])
    assert found["metadata"]["redacted"] is True and found["samples"][0]["scores"]["harm"]["value"] in SCORES["harm"]
    texts = [sample["input"][0]["content"] for sample in found["samples"]]
    assert OPTIONS["redact"] is False and all(text.startswith("[redacted, ") for text in texts)
