"""Adopting finished artefacts under new code: which jobs are made again, how files are compared, what is recorded."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from ballast.files import BallastError, digest, read_json, write_json, write_parquet
from ballast.running import adopt, inside_snakemake, manifest
from ballast.running.adopt_again import make_again
from ballast.running.adopt_compare import difference
from ballast.running.inside_snakemake import InsideSnakemake, changes

STUDY = "results/s"
OLD, NEW = "0" * 16, "1" * 16


def job(number: int, rule: str, *needs: int, state: str = adopt.CODE, gpu: bool = False) -> adopt.Job:
    return adopt.Job(number, rule, [*needs], [f"{STUDY}/{rule}{number}.csv"], "", state, OLD, NEW, gpu=gpu)


@pytest.fixture
def adopting(monkeypatch):
    """Adopt a plan without files: `wrong` are the rules whose jobs differ. Returns the stages and the jobs taken."""

    def run(jobs: list[adopt.Job], *wrong: str, count: int = 3, rows=()) -> tuple[list[adopt.Checked], list[int]]:
        taken = []
        monkeypatch.setattr(adopt.Job, "rows", lambda job: [*rows])
        monkeypatch.setattr(adopt, "check", lambda job, *_: "line 2" if job.rule in wrong else "")
        monkeypatch.setattr(adopt, "take", lambda job, how: taken.append(job.number))
        return [*adopt.adopt(jobs, "", count, 0, [STUDY], Path("place"))], taken

    return run


def test_stages_are_adopted_in_the_order_of_the_data_flow_and_none_behind_a_pending_job(adopting):
    jobs = [job(0, "data"), job(1, "sample", 0), job(2, "sample", 0), job(3, "train", 1, state="params changed")]
    jobs += [job(4, "train", 2, state=""), job(5, "generate", 3), job(6, "generate", 4)]
    stages, taken = adopting(jobs)
    assert [stage.stage[0] for stage in stages] == ["data", "sample", "generate"] and taken == [0, 1, 2, 6]
    assert adopt.left(jobs) == ["  1: params changed", f"  1: {adopt.BEHIND}"]
    assert len(taken) + sum(bool(one.state) for one in jobs) == 6, "each pending job is adopted or left"


def test_one_difference_adopts_nothing_of_its_stage_and_leaves_all_behind_it(adopting):
    jobs = [job(0, "data"), job(1, "sample", 0), job(2, "sample", 0), job(3, "train", 1), job(4, "claims", state="")]
    stages, taken = adopting(jobs, "sample")
    assert taken == [0] and [stage.wrong for stage in stages] == ["", "line 2"]
    assert len(stages[1].checked) == 1, "nothing is made again after a difference"
    assert str(stages[1]).split()[:6] == ["2", "1", "0", "0", "sample:", "refused"]
    assert adopt.left(jobs) == [f"  2: {adopt.REFUSED}", f"  1: {adopt.BEHIND}"]


def test_a_stage_whose_jobs_need_each_other_is_one_and_a_whole_stage_comes_before_a_part(adopting):
    jobs = [job(0, "data"), job(1, "filter", 0), job(2, "data", 0), job(3, "train", 2), job(4, "train", 1)]
    stages, taken = adopting(jobs)
    assert [(stage.stage[0], len(stage.jobs)) for stage in stages] == [("data", 2), ("filter", 1), ("train", 2)]
    assert sorted(taken) == [0, 1, 2, 3, 4]


def test_what_was_made_on_a_gpu_is_left_where_there_is_none(adopting, monkeypatch):
    monkeypatch.setattr(adopt, "_has_gpu", lambda: False)
    jobs = [job(0, "train", gpu=True), job(1, "generate", 0)]
    assert adopting(jobs) == ([], [])
    assert adopt.left(jobs) == [f"  1: {adopt.NO_GPU}", f"  1: {adopt.BEHIND}"]
    assert adopting([job(0, "train")], rows=[{"device": "NVIDIA L40S"}]) == ([], [])
    assert adopting([job(0, "train")], rows=[{"device": "cpu"}])[1] == [0]


def test_jobs_are_drawn_by_seed_among_the_cheaper_half_cheapest_first(monkeypatch):
    monkeypatch.setattr(adopt.Job, "cost", lambda job: (-job.number, ""))
    jobs = [job(number, "train") for number in range(20)]
    draws = {seed: [one.number for one in adopt.drawn(jobs, 3, seed)] for seed in range(20)}
    assert draws[0] == [one.number for one in adopt.drawn(jobs, 3, 0)]
    assert all(len(draw) == 3 and draw == sorted(draw, reverse=True) and min(draw) >= 10 for draw in draws.values())
    assert len({*map(tuple, draws.values())}) > 10, "another seed draws others"
    assert len(adopt.drawn(jobs, 30, 0)) == 20


def test_the_cost_of_a_job_is_what_its_log_says(tmp_path):
    one = job(0, "train")
    one.log = str(tmp_path / "a.log")
    assert one.cost()[0] == float("inf")
    Path(one.log).write_text("train: 2.00 + 0.50 CPU seconds (user + system), 90 MiB at most, 3.00 s elapsed\n")
    assert one.cost()[0] == 2.5


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, old, new, gpu: bool = False) -> str:
        for folder, value in (("old", old), ("new", new)):
            Path(folder).mkdir(exist_ok=True)
            if name.endswith(".safetensors"):
                save_file(value, f"{folder}/{name}")
            elif name.endswith(".parquet"):
                write_parquet(f"{folder}/{name}", pd.DataFrame(value))
            elif name.endswith(".json"):
                write_json(f"{folder}/{name}", value)
            else:
                Path(folder, name).write_bytes(value)
        return difference(f"old/{name}", f"new/{name}", gpu)

    return write


def test_a_difference_is_named_by_its_place(files):
    assert files("a.csv", b"id\nx\ny\n", b"id\nx\nz\n") == files("a.csv", b"id\nx\n", b"id\nx\nz\n") == "line 3"
    assert files("a.png", b"\0\1\2", b"\0\1\3") == "byte 3"
    assert files("a.json", {"a": 1, "b": 2}, {"a": 1, "b": 3}) == "line 3"
    texts = {"id": ["a", "b", "c"], "response": ["x", "secret", "z"]}
    assert files("a.parquet", texts, texts | {"response": ["x", "y", "w"]}) == "column response, row 2, 2 of 3 rows"
    assert files("a.parquet", texts, {"id": ["a"], "response": ["x"]}) == "1 rows, not 3"
    assert files("a.parquet", texts, {"id": ["a", "b", "c"]}) == "other columns"
    whole = {"w": np.ones(4, np.float32), "v": np.ones(2, np.float32)}
    assert files("a.safetensors", whole, whole | {"w": np.full(4, 1.001, np.float32)}) == "tensor w: 0.001 of its norm"
    assert files("a.safetensors", whole, {"v": whole["v"]}) == "tensor w, which only one has"
    assert files("a.safetensors", whole, whole | {"w": np.ones(5, np.float32)}) == "tensor w: another shape or type"


@pytest.mark.parametrize(("by", "within"), [(0.009, True), (0.011, False), (np.nan, False)])
def test_weights_of_a_gpu_may_differ_by_a_hundredth_of_a_tensors_norm(files, by, within):
    old = {"w": np.ones((3, 3), np.float32), "zero": np.zeros(2, np.float32)}
    found = files("a.safetensors", old, old | {"w": np.full((3, 3), 1 + by, np.float32)}, gpu=True)
    assert (found == "") == within and (within or found.startswith("tensor w: "))


@pytest.mark.parametrize(("differ", "within"), [(5, True), (6, False)])
def test_a_twentieth_of_the_responses_of_a_gpu_may_differ(files, differ, within):
    old = {"id": [f"{number}" for number in range(100)], "response": ["x"] * 100}
    new = old | {"response": ["y"] * differ + ["x"] * (100 - differ)}
    found = files("responses.parquet", old, new, gpu=True)
    assert found == ("" if within else "column response, row 1, 6.0% of the rows")


@pytest.mark.parametrize(("scores", "within"), [([0, 2.02, 4], True), ([0, 2.5, 4], False), ([0, None, 4], False)])
def test_scores_of_a_gpu_may_differ_by_a_hundredth_of_their_range(files, scores, within):
    old = {"prompt_id": ["a", "b", "c"], "score": [0.0, 2.0, 4.0]}
    found = files("scores.parquet", old, old | {"score": pd.array(scores, "float64")}, gpu=True)
    assert (found == "") == within and (within or found.startswith("column score, row 2"))


def test_numbers_of_a_log_of_a_gpu_may_differ_by_a_twentieth_and_nothing_else(files):
    old = {"losses": [1.0, 0.5], "device": "NVIDIA L40S"}
    assert files("training.json", old, old | {"losses": [1.04, 0.5]}, gpu=True) == ""
    assert files("training.json", old, old | {"losses": [1.0, 0.6]}, gpu=True) == "key losses[1]"
    assert files("training.json", old, old | {"device": "NVIDIA H200"}, gpu=True) == "key device"
    assert files("training.json", old, {"losses": [1.0, 0.5]}, gpu=True) == "key at the top"
    assert files("table.csv", b"1.00\n", b"1.01\n", gpu=True) == "line 1", "other files have no tolerance"


def test_a_job_is_made_again_elsewhere_from_all_that_it_reads(tmp_path, monkeypatch):
    here = tmp_path / "above/here"
    for name, text in {"../own/pool.txt": "pool ", "tool.txt": "tool ", f"{STUDY}/data/base.txt": "base"}.items():
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text(text)
    for name in (f"{STUDY}/data/out.txt", f"{STUDY}/store/a", f"{STUDY}/partial/train/a", f"{STUDY}/logs/a.log"):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
        (here / name).write_text("finished")
    monkeypatch.chdir(here)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    out, log = f"{STUDY}/data/out.txt", f"{STUDY}/logs/a.log"
    script = f"cat ../own/pool.txt tool.txt {STUDY}/data/base.txt > {out} 2> {log}; test ! -e {STUDY}/store"
    script += (
        f"; mkdir -p {STUDY}/store {STUDY}/partial/train; echo x > {STUDY}/store/a; echo x > {STUDY}/partial/train/a"
    )
    there, succeeded = make_again(f"set -e; {script}", [out, log], [STUDY], Path(STUDY, "partial/adopt/a-1"))
    assert succeeded and (there / out).read_text() == "pool tool base"
    assert {path: path.read_bytes() for path in before} == before
    assert make_again("exit 3", [out, log], [STUDY], Path(STUDY, "partial/adopt/a-2"))[1] is False


@pytest.fixture
def finished(tmp_path, monkeypatch) -> adopt.Job:
    """A finished job with two outputs, their manifest rows, and Snakemake's records, one of the longest name."""
    monkeypatch.chdir(tmp_path)
    one = job(0, "table")
    one.outputs, one.records = [f"{STUDY}/a.csv", f"{STUDY}/a.md"], ["records/a", f"records/{'b' * 254}"]
    one.recorded = {"params": [repr(NEW)], "code": "stage table"}
    Path(STUDY).mkdir(parents=True)
    Path("records").mkdir()
    for output, record in zip(one.outputs, one.records, strict=True):
        Path(output).write_text("x\n")
        Path(record).write_text(json.dumps({"params": [repr(OLD)], "code": "stage", "input": ["y"]}))
    manifest.record(one.outputs, "table", OLD, [])
    return one


def test_the_manifest_says_what_was_checked_and_snakemakes_record_holds_the_new_code(finished):
    before = finished.rows()
    adopt.take(finished, {"from": OLD, "checked": [finished.outputs[0]], "of": 1, "seed": 0, "version": "2"})
    for output, row in zip(finished.outputs, before, strict=True):
        found = read_json(manifest.row_of(output))
        assert found == row | {"code": NEW, "adopted": found["adopted"]} and found["adopted"][0]["of"] == 1
    for record in finished.records:
        assert read_json(record) == {"params": [repr(NEW)], "code": "stage table", "input": ["y"]}
    assert sorted(path.name for path in Path("records").iterdir()) == ["a", "b" * 254]
    adopt.take(finished, {"from": NEW})
    assert [entry["from"] for entry in read_json(manifest.row_of(finished.outputs[0]))["adopted"]] == [OLD, NEW]


@pytest.mark.parametrize("step", range(4))
def test_a_kill_at_any_moment_leaves_a_job_pending_or_adopted_and_never_without_a_row(finished, monkeypatch, step):
    """Snakemake holds a job for pending as long as one of its records has the old code."""
    done, replace = [], adopt.os.replace

    def killed(*paths):
        if len(done) == step:
            raise KeyboardInterrupt
        done.append(paths)
        replace(*paths)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("os.replace", killed)
        patch.setattr(Path, "replace", lambda path, to: killed(path, to))
        adopt.take(finished, {"from": OLD})
    rows = [read_json(manifest.row_of(output)) for output in finished.outputs]
    records = [read_json(record)["params"] for record in finished.records]
    assert [repr(OLD)] in records
    assert [row["code"] for row in rows] == [NEW] * min(step, 2) + [OLD] * (2 - min(step, 2))
    assert finished.rows(), "the next time it is adopted whole"
    adopt.take(finished, {"from": OLD})
    assert [read_json(record)["params"] for record in finished.records] == [[repr(NEW)]] * 2


def test_a_check_says_which_file_differs_where_and_removes_its_folder_if_none_does(finished, monkeypatch):
    finished.command, finished.log = f"echo x | tee {' '.join(finished.outputs)}", f"{STUDY}/logs/a.log"
    assert adopt.check(finished, "", [STUDY], Path("place")) == "" and not Path("place").exists()
    finished.command = f"echo x > {finished.outputs[0]}; echo z > {finished.outputs[1]}"
    finished.command += "".join(f"; echo '{{}}' > {manifest.row_of(output)}" for output in finished.outputs)
    there = f"place/{finished.outputs[1]}"
    assert adopt.check(finished, "", [STUDY], Path("place")) == f"{STUDY}/a.md: line 1; made again: {there}"
    assert Path(there).read_text() == "z\n" and digest(finished.outputs[1]) == finished.rows()[1]["sha256"]
    assert not finished.tolerated
    monkeypatch.setattr(adopt, "difference", lambda *_: "")
    assert adopt.check(finished, "", [STUDY], Path("within")) == "" and finished.tolerated == [f"{STUDY}/a.md"]
    finished.command = "false"
    assert "a.csv: it cannot be made again: gone/results/s/logs/a.log" in adopt.check(
        finished, "", [STUDY], Path("gone")
    )
    finished.command = f"echo z | tee {' '.join(finished.outputs)}"
    Path(finished.outputs[0]).write_text("y\n")
    assert "the finished file has other bytes than were written" in adopt.check(finished, "", [STUDY], Path("torn"))


def planned(monkeypatch, status: int = 0, **plan) -> list[adopt.Job]:
    def run(command, env, **_):
        if not status:
            write_json(env[adopt.LISTED], {"locked": False, "prefix": "", "jobs": []} | plan)
        return subprocess.CompletedProcess(command, status, "", "ballast: wrong key")

    monkeypatch.setattr(subprocess, "run", run)
    return adopt.planned("snakemake --configfile a.yaml", ["all"], Path("place/jobs.json"))[0]


def test_a_plan_is_refused_while_another_snakemake_works_and_where_it_fails(finished, monkeypatch):
    with pytest.raises(BallastError, match="another Snakemake works here"):
        planned(monkeypatch, locked=True)
    with pytest.raises(BallastError, match="`snakemake --configfile a.yaml --dry-run` fails: ballast: wrong key"):
        planned(monkeypatch, status=1)


@pytest.mark.parametrize("code, taken", [(OLD, True), (NEW, True), ("2" * 16, False), (None, False)])
def test_a_job_without_a_row_of_the_code_before_or_now_stays_pending(finished, monkeypatch, code, taken):
    row = manifest.row_of(finished.outputs[1])
    write_json(row, read_json(row) | {"code": code}) if code else row.unlink()
    [found] = planned(monkeypatch, jobs=[vars(finished)])
    assert (found.state == adopt.CODE) == taken


def workflow(given: dict) -> SimpleNamespace:
    return SimpleNamespace(config_settings=SimpleNamespace(config=given))


@pytest.mark.parametrize("number", [0, -1, "all", 2.5, True, None])
def test_another_number_of_jobs_than_one_or_more_is_refused(number):
    inside = object.__new__(InsideSnakemake)
    inside.workflow = workflow({"adopt": number})
    with pytest.raises(
        BallastError, match=f"^--config adopt={number}: give the number of jobs to make again, 1 or more"
    ):
        inside.adoptable()


def test_adopt_is_a_key_of_config_for_its_target_alone(monkeypatch):
    given = workflow({"adopt": 2, "seed": 1})
    monkeypatch.setattr(inside_snakemake.sys, "argv", ["snakemake", "--config", "adopt=2", "seed=1"])
    assert changes(given) == {"adopt": 2, "seed": 1}, "so that the study refuses it"
    monkeypatch.setattr(inside_snakemake.sys, "argv", ["snakemake", "adopt", "--config", "adopt=2", "seed=1"])
    assert changes(given) == {"seed": 1}
