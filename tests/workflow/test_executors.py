"""Nothing in the rules is of one executor: what runs jobs is named in a profile or on the command line."""

import re
import shutil

import pytest
from helpers import edits
from helpers.edits import ROOT, SMALL

pytestmark = pytest.mark.workflow
RUN = "results/small/runs/llama/safety/sss/n14/t0"
# As a cluster's own command: it takes a job's script, says an id, and returns before the job is done.
SUBMIT = "setsid sh -c 'sh \"$0\" > /dev/null 2>&1 & echo $!'"


def test_another_executor_makes_the_same_files(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    shutil.rmtree(folder / RUN)
    submitting = ["--executor", "cluster-generic", "--cluster-generic-submit-cmd", SUBMIT, "--jobs", "2"]
    said = edits.snakemake(folder, f"{RUN}/responses.parquet", "--configfile", SMALL, *submitting)
    assert len(re.findall(r"^Submitted job \d+ with external jobid '\d+'", said, re.MULTILINE)) == 2, (
        "two clusters' jobs"
    )
    for name in ("adapter_model.safetensors", "responses.parquet"):
        assert (folder / RUN / name).read_bytes() == (finished / RUN / name).read_bytes(), name


def test_no_rule_names_a_cluster():
    """Partitions, accounts and GPUs of one cluster belong into a profile."""
    for path in (ROOT / "workflow/Snakefile", *(ROOT / "workflow/rules").glob("*.smk")):
        assert not re.search(r"slurm|sbatch|srun|partition|qos", path.read_text(), re.IGNORECASE), path.name
