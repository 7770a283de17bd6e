"""What Slurm does to jobs, and what becomes of the study: limits, preemption, a failed node, scancel, Ctrl-C."""

import re
import signal
import subprocess
from collections.abc import Iterator

import pytest
from cluster import Cluster, until
from conftest import CONFIG
from helpers.edits import SNAKEMAKE, edit
from helpers.tiny_study import Study

pytestmark = pytest.mark.slurm
ADAPTER = "results/on-slurm/runs/llama/safety/{}/n14/t0/adapter_model.safetensors"
LOG = "results/on-slurm/logs/train/llama/safety/{}/n14/t0.log"
SCORES = "results/on-slurm/scores.parquet"
ON_SPARE_GPU = ("train:slurm_partition=gpu-spare", "train:gpu=1", "train:gpu_model=a100")


class Scene:
    """A copy of the study in which training takes long, and the jobs that Slurm has had for it."""

    def __init__(self, cluster: Cluster, finished: Study, folder, epochs: int):
        self.cluster, self.study = cluster, finished.copy(folder)
        edit(self.study.folder, CONFIG, "experiments:", f"training: {{num_train_epochs: {epochs}}}\nexperiments:")
        self.study.without("logs/train")
        self.job = None

    def train(self, *samplers: str, asks: tuple[str, ...] = ()) -> "Scene":
        """Start Snakemake on these runs' adapters."""
        targets = [ADAPTER.format(sampler) for sampler in samplers]
        self.job = self.study.start(*targets, "--set-resources", "train:mem_mb=4000", *asks)
        return self

    def until_training(self, *samplers: str) -> list[str]:
        """Wait until each has done some steps; their ids, in the order of the samplers."""
        until(lambda: all("'loss'" in self.log(sampler) for sampler in samplers))
        running = self.running()
        return [running[sampler] for sampler in samplers]

    def running(self) -> dict[str, str]:
        return {name: job for job, name in self._jobs("RUNNING")}

    def queued(self) -> dict[str, str]:
        return {name: job for job, name in self._jobs("PENDING,RUNNING,COMPLETING")}

    def _jobs(self, states: str) -> list[tuple[str, str]]:
        said = self.cluster.said(
            "squeue", "--noheader", f"--states={states}", "--Format=JobID:9,WorkDir:300,Comment:99"
        )
        lines = [line.split() for line in said.splitlines()]
        return [(job, name.split("_")[-3]) for job, folder, name in lines if folder == str(self.study.folder)]

    def log(self, sampler: str) -> str:
        path = self.study.folder / LOG.format(sampler)
        return path.read_text() if path.exists() else ""

    def at_once(self) -> None:
        """Spare the two minutes for which Slurm holds a job back that it requeued."""
        until(lambda: "BeginTime" in self.cluster.said("squeue", "--noheader", "--format=%r"))
        for job in self.queued().values():
            self.cluster.said("scontrol", "update", f"JobId={job}", "StartTime=now")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self.job.send_signal(signal.SIGINT)
        assert self.job.wait(60) != 0

    def ends_well(self) -> None:
        assert self.job.wait(400) == 0, self.study.said()[-3000:]

    def ends_now(self) -> None:
        if self.job and self.job.poll() is None:
            self.job.kill()

    def records(self, sampler: str) -> list[dict[str, str]]:
        return [record for record in self.cluster.records(self.study.folder) if f"_{sampler}_" in record["Comment"]]


@pytest.fixture(scope="module")
def out_of_time(cluster, finished, begun, tmp_path_factory) -> Iterator[Scene]:
    """A training of which the first attempt has a minute, begun before the other tests and waited for after them."""
    scene = Scene(cluster, finished, tmp_path_factory.mktemp("out-of-time") / "study", epochs=110)
    # For a busy machine: more attempts than the profile's, and four checkpoints a minute, since Slurm kills what has
    # not saved within ten seconds of its limit. As text, since Snakemake makes whole numbers of fractions.
    asks = ("train:runtime=1 * attempt", "train:checkpoint_minutes='0.25'", "--retries", "4")
    yield scene.train("pss", asks=asks)
    scene.ends_now()


@pytest.fixture(scope="module")
def out_of_memory(cluster, finished, begun, tmp_path_factory) -> Iterator[tuple[Study, subprocess.Popen]]:
    """Scores of which the first attempt has too little memory, begun as early."""
    study = finished.copy(tmp_path_factory.mktemp("out-of-memory") / "study").without("scores.parquet")
    job = study.start(SCORES, "--set-resources", "scores:mem_mb=200 * attempt ** 3")
    yield study, job
    job.kill()


@pytest.fixture
def scene(cluster, finished, out_of_time, out_of_memory, tmp_path) -> Iterator[Scene]:
    scene = Scene(cluster, finished, tmp_path / "study", epochs=12)
    yield scene
    scene.ends_now()


def test_a_preempted_training_is_requeued_and_goes_on_from_its_checkpoint(scene):
    scene.train("pss", asks=ON_SPARE_GPU).until_training("pss")
    urgent = ["sbatch", "--parsable", "--partition=gpu-l40s", "--gpus=a100:1", "--mem=100", "--time=5"]
    assert scene.cluster.said(*urgent, "--output=/dev/null", "--wrap=sleep 3")
    scene.at_once()
    scene.ends_well()
    assert [record["State"] for record in scene.records("pss")] == ["PREEMPTED", "COMPLETED"]
    assert re.search(r"continues from step [1-9]", scene.log("pss"))


def test_a_job_that_runs_out_of_memory_gets_more(cluster, out_of_memory):
    study, job = out_of_memory
    assert job.wait(200) == 0, study.said()[-3000:]
    records = cluster.records(study.folder)
    assert [record["State"] for record in records] == ["OUT_OF_MEMORY", "COMPLETED"]
    assert ["mem=200M" in records[0]["ReqTRES"], "mem=1600M" in records[1]["ReqTRES"]] == [True, True]


def test_scancel_of_one_job_leaves_the_rest_going(scene):
    [cancelled, _] = scene.train("pss", "random").until_training("pss", "random")
    scene.cluster.said("scancel", cancelled)
    scene.ends_well()
    assert [record["State"] for record in scene.records("random")] == ["COMPLETED"]
    assert [record["State"] for record in scene.records("pss")] == ["CANCELLED by 0", "COMPLETED"], "tried again"


def test_ctrl_c_cancels_all_jobs_and_the_next_run_goes_on(scene):
    # The executor forgets jobs that it is looking at when Ctrl-C comes, so it shall not look often.
    impatient, scene.study.program = scene.study.program, (SNAKEMAKE,)
    scene.train("pss", "random").until_training("pss", "random")
    scene.interrupt()
    until(lambda: not scene.queued(), 30)
    assert not (scene.study.folder / ADAPTER.format("pss")).exists()
    scene.study.program = impatient
    scene.train("pss", "random").ends_well()
    assert re.search(r"continues from step [1-9]", scene.log("pss"))


def test_a_job_whose_node_fails_is_requeued(scene, out_of_time, ran):
    """When no other test has jobs, since all jobs of the only node go with it."""
    out_of_time.ends_well()
    [failed] = scene.train("pss").until_training("pss")
    scene.cluster.fail_node(failed)
    scene.at_once()
    scene.ends_well()
    assert [record["State"] for record in scene.records("pss")] == ["NODE_FAIL", "COMPLETED"]


def test_a_training_that_runs_out_of_time_gets_more_and_goes_on_from_its_checkpoint(out_of_time):
    out_of_time.ends_well()
    first, *more = out_of_time.records("pss")
    assert (first["State"], first["Timelimit"]) == ("TIMEOUT", "00:01:00")
    assert (more[0]["Timelimit"], more[-1]["State"]) == ("00:02:00", "COMPLETED")
    assert re.search(r"continues from step [1-9]", out_of_time.log("pss"))


def test_a_failing_job_shows_how_its_log_ends_and_how_to_run_it_alone(cluster, finished, tmp_path):
    study = finished.copy(tmp_path / "study").without("tables", "figures", "headline.txt")
    (study.results / "on-slurm/scores/sampling/harm.parquet").write_bytes(b"torn")
    assert study.run("results/on-slurm/headline.txt", "--retries", "0", "--rerun-triggers", "params") != 0
    end = study.said().split("ballast: headline failed; ")[1]
    assert end.startswith(
        "results/on-slurm/logs/headline.log ends:\n    headline: results/on-slurm/scores/sampling/harm.parquet: "
    )
    alone = re.search(r"^  alone: snakemake (.*)$", end, re.MULTILINE)[1]
    assert alone.split()[:3] == ["results/on-slurm/headline.txt", "--profile", "slurm"]


def test_a_cluster_without_accounting_does_not_hang(cluster, finished, ran, tmp_path):
    with cluster.without_accounting():
        assert "disabled" in subprocess.run(["sacct"], capture_output=True, text=True).stderr
        scene = Scene(cluster, finished, tmp_path / "study", epochs=12)
        [cancelled] = scene.train("pss").until_training("pss")
        cluster.said("scancel", cancelled)
        scene.ends_well()
    assert "status is: 'CANCELLED'" in scene.study.said()
