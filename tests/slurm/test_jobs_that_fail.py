"""What Slurm does to jobs, and what becomes of the study: limits, preemption, a failed node, scancel, Ctrl-C."""

import json
import re
import signal
import time

import pytest
from cluster import Cluster, until
from conftest import CONFIG, PROFILE
from edits import edit
from tiny_study import Study

pytestmark = pytest.mark.slurm
RUN = "runs/llama/safety/{}/n14/t0"
ADAPTER = f"results/on-slurm/{RUN}/adapter_model.safetensors"
LOG = f"logs/train/llama/safety/{{}}/n14/t0.log"


def trains_for(study: Study, epochs: int) -> Study:
    """Let training take so many epochs, with a checkpoint every few seconds."""
    edit(study.folder, CONFIG, "experiments:", f"training: {{num_train_epochs: {epochs}}}\nexperiments:")
    return study


def of(cluster: Cluster, rule: str, since: int) -> list[dict[str, str]]:
    """Records of a rule's jobs, from the since-th record on."""
    return [record for record in cluster.records()[since:] if record["Comment"].startswith(f"rule_{rule}")]


def test_a_training_that_runs_out_of_time_gets_more_and_goes_on_from_its_checkpoint(cluster, finished, tmp_path):
    study = trains_for(finished.copy(tmp_path / "copy"), 200)
    asks = ["train:runtime=1 * attempt", "train:mem_mb=4000", "train:slurm_partition=gpu-l40s", "train:gpu=1"]
    before = len(cluster.records())
    study.succeed(ADAPTER.format("pss"), "--set-resources", *asks)
    first, *more = of(cluster, "train", before)
    assert (first["State"], first["Timelimit"]) == ("TIMEOUT", "00:01:00")
    assert (more[0]["Timelimit"], more[-1]["State"]) == ("00:02:00", "COMPLETED")
    log = (study.results / "on-slurm" / LOG.format("pss")).read_text()
    assert re.search(r"continu\w+ (from|at|after) \D*[1-9]\d*", log), log


def test_a_job_that_runs_out_of_memory_gets_more(cluster, finished, tmp_path):
    study = finished.copy(tmp_path / "copy").without("scores.parquet")
    before = len(cluster.records())
    study.succeed("results/on-slurm/scores.parquet", "--set-resources", "scores:mem_mb=250 * attempt ** 2")
    records = of(cluster, "scores", before)
    assert [record["State"] for record in records] == ["OUT_OF_MEMORY", "COMPLETED"]
    assert ["mem=250M" in records[0]["ReqTRES"], "mem=1000M" in records[1]["ReqTRES"]] == [True, True]


def test_a_preempted_training_is_requeued_and_goes_on_from_its_checkpoint(cluster, finished, tmp_path):
    study = trains_for(finished.copy(tmp_path / "copy"), 60)
    asks = ["train:mem_mb=4000", "train:slurm_partition=gpu-spare", "train:gpu=1"]
    before = len(cluster.records())
    job = study.start(ADAPTER.format("pss"), "--set-resources", *asks)
    partial = study.results / "on-slurm/partial/train"
    until(lambda: cluster.running("train"))
    time.sleep(25)
    urgent = ["sbatch", "--parsable", "--partition=gpu-l40s", "--gpus=l40s:2", "--mem=100", "--time=5"]
    assert cluster.said(*urgent, "--output=/dev/null", "--wrap=sleep 5")
    assert job.wait(300) == 0, study.said()[-3000:]
    assert [record["State"] for record in of(cluster, "train", before)] == ["PREEMPTED", "COMPLETED"]
    print((study.results / "on-slurm" / LOG.format("pss")).read_text(), partial)
