"""What a person sees of a study that runs: each long job's progress in its log, and a table of stages."""

import pytest

from ballast import progress
from ballast.running import overview


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """Return the time that the module reads, in a list that a test changes."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_long_job_says_now_and_then_how_far_it_is(clock, capsys):
    shown = progress.Progress(100, "prompts")
    for seconds in range(10, 101, 10):  # 100 prompts in 100 seconds
        clock[0] = 100 + seconds
        shown.add(10)
    said = [f"progress: {done} of 100 prompts, {left} left" for done, left in ((20, "1:20"), (40, "1:00"))]
    assert capsys.readouterr().err.splitlines()[:2] == said


def test_short_work_and_the_end_of_work_say_nothing(clock, capsys):
    shown = progress.Progress(2, "steps")
    shown.add()
    clock[0] += 1000
    shown.add()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("seconds", "said"), [(0.4, "0:00"), (59.6, "1:00"), (725, "12:05"), (10810, "3:00:10")])
def test_times_are_read_like_a_clock(seconds, said):
    assert progress.clock(seconds) == said


def test_a_terminal_shows_the_last_progress_of_the_jobs_that_run(tmp_path):
    logs = {name: tmp_path / f"{name}.log" for name in ("a", "b", "c")}
    logs["a"].write_text("progress: 1 of 9 rows, 0:08 left\n" + "x" * 5000 + "\nprogress: 2 of 9 rows, 0:07 left\n")
    logs["b"].write_bytes(b"\xff loads a model\n")
    jobs = [(name, str(log)) for name, log in logs.items()]
    assert list(overview.running(jobs)) == ["a: 2 of 9 rows, 0:07 left"]


def test_a_table_of_stages_adds_up_and_leaves_out_stages_without_jobs():
    jobs = [("train", "done")] * 3 + [("train", "running"), ("judge", "left"), ("judge", "left")]
    rows = [line.split() for line in overview.table(jobs, ["fetch", "train", "judge"]).splitlines()]
    assert rows[0] == ["stage", "done", "running", "left"]
    assert rows[2:] == [["train", "3", "1", "0"], ["judge", "0", "0", "2"], ["total", "3", "1", "2"]]
