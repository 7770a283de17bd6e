"""CPU seconds by method: read from the last line of logs, medians by hand, nothing said where a log is not whole."""

import json
import math

import pandas as pd
import pytest

from ballast.results import spent
from ballast.running import used
from ballast.study.artefacts import parse_options

STUDY = {
    "study": "made",
    "synthetic": True,
    "judges": {"harm": "harm-rm"},
    "experiment": {"models": ["m"], "pools": ["p"], "samplers": ["random", "slow"], "n": [7, 14], "trials": 3},
}


def log(folder, name, seconds, more=""):
    path = folder / f"{name}.log"
    path.write_text(
        f"{more}train: {seconds} + 0.50 CPU seconds (user + system), 512 MiB at most, {2 * seconds:.2f} s elapsed\n"
    )
    return str(path)


@pytest.fixture
def logs(tmp_path):
    def run(sampler, n, trial, seconds, **others):
        made = {stage: log(tmp_path, f"{sampler}-{n}-{trial}-{stage}", each) for stage, each in others.items()}
        return {"sampler": sampler, "n": n, "train": log(tmp_path, f"{sampler}-{n}-{trial}", seconds)} | made

    runs = [run("random", 14, trial, seconds) for trial, seconds in enumerate((1.5, 2.5, 9.5))]
    runs += [run("slow", 14, trial, seconds, filter=2.5) for trial, seconds in enumerate((4.5, 5.5, 6.5))]
    runs += [run("none", 0, 0, 1.5), run("filtered", 0, 0, 3.5)]
    shared = {"slow": [log(tmp_path, "warm-up", 5.5), log(tmp_path, "gradients", 2.5)], "random": []}
    return {"runs": runs, "shared": shared}


def test_a_run_is_the_median_of_its_jobs_against_plain_training_with_as_many_rows(logs):
    found = spent.table(logs).set_index("sampler")
    assert found.loc["random", ["run", "ratio", "shared"]].tolist() == [3, 1, 0]
    assert found.loc["slow", ["train", "filter", "run", "ratio"]].tolist() == [6, 3, 9, 3]
    assert found.loc["slow", ["shared", "shared_ratio"]].tolist() == [9, 3]
    assert found.loc["slow", ["elapsed", "elapsed_ratio"]].tolist() == [16, 3.2]  # 11 + 5 against 5
    assert found.loc["filtered", ["sft", "ratio"]].tolist() == [2, 2] and found.loc["filtered", "n"] == 0


def test_a_run_that_went_on_or_has_no_log_is_left_out_and_counted(logs, tmp_path):
    log(tmp_path, "slow-14-0", 0.5, "train: continues from step 5, somewhere\n")
    (tmp_path / "slow-14-1-filter.log").unlink()
    (tmp_path / "warm-up.log").write_text("no time here\n")
    found = spent.table(logs)
    slow = found.set_index("sampler").loc["slow"]
    assert (slow["run"], slow["runs"], slow["missing"]) == (10, 3, 2) and pd.isna(slow["shared"])
    page = spent.page(parse_options("spent", json.dumps(STUDY)), found)
    assert "2 runs are left out" in page and "synthetic study" in page


def test_only_the_last_line_of_that_kind_counts(tmp_path):
    path, earlier = tmp_path / "a.log", "train: 9.00 + 1.00 CPU seconds (user + system), 1 MiB at most\n"
    path.write_text(earlier * 2 + "train: 1.00 + 0.25 CPU seconds (user + system), 1 MiB at most\n")
    assert (
        used.read(path).seconds == 1.25 and math.isnan(used.read(path).elapsed) and used.read(tmp_path / "none") is None
    )
    assert spent.seconds(str(path)) == 1.25 and math.isnan(spent.seconds(str(tmp_path / "none")))


def test_what_a_stage_writes_is_read_back(tmp_path):
    (tmp_path / "a.log").write_text(used.line("train", 1.5, 0.25, 511.6, 4.25) + "\n")
    assert used.read(tmp_path / "a.log") == used.Used(1.75, 512, 4.25)


def test_without_random_there_is_no_ratio_and_the_page_says_what_it_is(logs):
    found = spent.table({"runs": [run for run in logs["runs"] if run["sampler"] == "slow"], "shared": {}})
    assert found["ratio"].isna().all() and found["run"].tolist() == [9]
    page = spent.page(parse_options("spent", json.dumps(STUDY)), spent.table(logs))
    assert "not reproducible" in page
