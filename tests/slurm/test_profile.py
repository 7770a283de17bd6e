"""What the Slurm profile asks for, read in Slurm's own records of a study that ran from nothing to its figures."""

from collections import Counter

import pytest
from conftest import SHOWN
from helpers.edits import edit, pending, snakemake

pytestmark = pytest.mark.slurm
GPU = "gres/gpu=1"
JUDGES = ("harm-rm", "md-judge", "wildguard")
# By rule or group: partition, GPU, memory, time, CPUs.
ASKED = {
    "train": ("gpu-l40s", GPU, "32000M", "04:00:00", "4"),
    "generate": ("gpu-l40s", GPU, "32000M", "02:00:00", "4"),
    "behaviour": ("gpu-l40s", GPU, "32000M", "01:00:00", "4"),
    "category": ("gpu-l40s", GPU, "32000M", "02:00:00", "4"),
    "embed": ("gpu-l40s", GPU, "16000M", "01:00:00", "4"),
    **{f"judging_{name}_judge": ("gpu-l40s", GPU, "32000M", "01:00:00", "4") for name in JUDGES},
    "selection_sample": ("cpu", "", "8000M", "00:10:00", "1"),
    "data": ("cpu", "", "8000M", "00:20:00", "1"),
    # Scores, a table, a figure and what else is made of them: one job of Slurm, and the sum of their times.
    "results_advice_claims_comparison_explore_figure_...": ("cpu", "", "8000M", "02:15:00", "1"),
}


def rule(record: dict[str, str]) -> str:
    return record["Comment"].removeprefix("rule_").split("_wildcards_")[0]


def asked(record: dict[str, str]) -> tuple[str, ...]:
    wanted = dict(part.split("=") for part in record["ReqTRES"].split(","))
    gpu = f"gres/gpu={wanted['gres/gpu']}" if "gres/gpu" in wanted else ""
    return record["Partition"], gpu, wanted["mem"], record["Timelimit"], record["ReqCPUS"]


@pytest.fixture(scope="module")
def records(cluster, ran) -> list[dict[str, str]]:
    return cluster.records(ran.folder)


def test_each_rule_asks_for_its_partition_gpu_memory_time_and_cpus(records):
    assert {rule(record): asked(record) for record in records} == ASKED
    assert {record["State"] for record in records} == {"COMPLETED"}


def test_the_study_has_the_bytes_that_it_has_on_one_machine(finished, ran):
    assert ran.files() == finished.files()


def test_short_jobs_travel_together_on_one_gpu(records):
    jobs = Counter(map(rule, records))
    assert [jobs[f"judging_{name}_judge"] for name in JUDGES] == [1, 1, 1], "two judgements, one job of Slurm"
    assert jobs["selection_sample"] == 1, "two selections, one job of Slurm"
    assert sum(count for name, count in jobs.items() if name.startswith("results_")) == 1
    assert jobs["train"] == jobs["generate"] == 2


def test_a_job_of_slurm_loads_its_judge_once(ran):
    logs = [path.read_text() for path in (ran.results / ran.name / "logs/judge").rglob("*.log")]
    assert sum("loaded, and kept for the next job" in log for log in logs) == len(JUDGES)
    assert sum("kept from the job before" in log for log in logs) == len(JUDGES)


def test_the_names_of_another_cluster_reach_slurm(cluster, finished, tmp_path):
    copy = finished.copy(tmp_path / "copy").without("embeddings")
    names = {"ask_with_gres: false": "ask_with_gres: true", "gpu_partition: gpu-l40s": "gpu_partition: gpu-spare"}
    names |= {"account: null": "account: lab", "qos: null": "qos: normal", "constraint: null": "constraint: 48gb"}
    for old, new in names.items():
        edit(copy.folder, "profiles/slurm/config.yaml", old, new)
    copy.succeed("results/on-slurm/embeddings/pools/safety.arrow")
    [record] = cluster.records(copy.folder)
    assert asked(record) == ("gpu-spare", *ASKED["embed"][1:])
    assert (record["Account"], record["QOS"], record["Constraints"]) == ("lab", "normal", "48gb")


def test_what_talks_to_a_person_or_needs_the_network_runs_beside_snakemake(ran, records):
    assert not {"settle", "fetch", "verify", "doctor", "bill"} & set(map(rule, records))
    assert "each is what its manifest row says" in snakemake(ran.folder, "verify", *ran.standing)


def test_neither_the_executor_nor_its_groups_change_what_runs_again(ran, tmp_path):
    copy = ran.copy(tmp_path / "copy")
    assert not pending(copy.folder, *SHOWN, *copy.standing)
    assert not pending(copy.folder, *SHOWN, *copy.standing[-2:]), "nor without the profile"
    template = copy.folder / "scripts/ballast/judges/wildguard.json"
    template.write_text(template.read_text().replace("{", "{ ", 1))
    found = pending(copy.folder, *SHOWN, *copy.standing)
    assert "judge" in found and found == pending(copy.folder, *SHOWN, *copy.standing[-2:])
