"""One run of the mini study, whole, through vLLM: labels, subset, adapter, responses and every judge."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from ballast.files import read_json
from ballast.study import config

pytestmark = [pytest.mark.vllm, pytest.mark.release]
ROOT = Path(__file__).parents[2]
RUN = "runs/llama/safety/sss-b/n14/t0"
JUDGED = ("beavertails-eval.harm-rm", "salad-attack.md-judge", "xstest.wildguard", "i-alpaca.helpful-rm")


def snakemake(folder: Path, study: str, *targets: str) -> None:
    command = [Path(sys.executable).with_name("snakemake"), *(f"results/{study}/{RUN}/{target}" for target in targets)]
    command += ["--snakefile", ROOT / "Snakefile", "--workflow-profile", ROOT / "profiles/default"]
    command += ["--directory", folder, "--configfile", folder / f"{study}.yaml", "--quiet", "rules"]
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """The run through vLLM, then the same adapter answered and judged by transformers in a study beside it."""
    folder = tmp_path_factory.mktemp("mini-vllm")
    through = config.read(Path(__file__).with_name("mini.yaml"))
    (folder / "mini-vllm.yaml").write_text(yaml.safe_dump(through))
    snakemake(folder, "mini-vllm", *(f"scores/{name}.parquet" for name in JUDGED))
    plain = config.read(ROOT / "config/mini.yaml") | {name: through[name] for name in ("world", "experiments")}
    plain["study"] = "plain"
    (folder / "plain.yaml").write_text(yaml.safe_dump(plain))
    snakemake(folder, "plain", *(f"scores/{name}.parquet" for name in JUDGED))
    return folder / "results"


def test_it_says_that_vllm_answered(results):
    record = read_json(results / "mini-vllm" / RUN / "generation.json")
    assert record["backend"] == "vllm" and record["dtype"] == "float32" and record["decoding"] == "greedy"
    assert record["VLLM_BATCH_INVARIANT"] == "0" and len(record["adapter_sha256"]) == 64
    assert read_json(results / "plain" / RUN / "generation.json")["backend"] == "transformers"


def test_the_labels_the_subset_and_the_adapter_are_those_of_transformers(results):
    for name in ("labels/safety/category.parquet", "labels/safety/behaviour.parquet"):
        ours, theirs = (pd.read_parquet(results / study / name) for study in ("mini-vllm", "plain"))
        pd.testing.assert_frame_equal(ours, theirs)
    ours, theirs = (results / study / RUN / "adapter_model.safetensors" for study in ("mini-vllm", "plain"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_responses_and_the_verdicts_are_those_of_transformers(results):
    ours, theirs = (pd.read_parquet(results / study / RUN / "responses.parquet") for study in ("mini-vllm", "plain"))
    pd.testing.assert_frame_equal(ours, theirs)
    assert ours.groupby("benchmark").size().min() >= 20
    for name in JUDGED:
        ours, theirs = (
            pd.read_parquet(results / study / RUN / f"scores/{name}.parquet") for study in ("mini-vllm", "plain")
        )
        pd.testing.assert_frame_equal(ours, theirs)
        assert (ours["answer_status"] == "parsed").mean() > 0.9
