"""The last word on failed jobs: how each log ends, and a command that a shell understands."""

import pytest

from ballast.running.failures import FAILED, JOBS, Failure, report, told

COMMAND = "snakemake --profile slurm --configfile 'my study.yaml'"


def test_a_failure_shows_the_end_of_its_log_and_the_command_that_runs_it_alone(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("".join(f"step {number}\n\n" for number in range(9)) + "train: the loss is NaN\n")
    assert list(report([Failure("train", "runs/a b/adapter", str(log))], COMMAND)) == [
        f"ballast: train failed; {log} ends:",
        *(f"    step {number}" for number in range(5, 9)),
        "    train: the loss is NaN",
        "  alone: snakemake 'runs/a b/adapter' --profile slurm --configfile 'my study.yaml'",
    ]


def test_a_job_that_said_nothing_is_not_passed_over(tmp_path):
    (tmp_path / "empty.log").write_bytes(b"\n")
    for name in ("empty.log", "absent.log"):
        said = "\n".join(report([Failure("judge", "scores", str(tmp_path / name))], "snakemake"))
        assert "(nothing: it was killed or never began" in said and "alone: snakemake scores" in said


def test_bytes_that_are_no_text_are_shown_all_the_same(tmp_path):
    (tmp_path / "log").write_bytes(b"\xff\xfe torn\n")
    assert any("torn" in line for line in report([Failure("judge", "scores", str(tmp_path / "log"))], "snakemake"))


def test_a_study_in_which_everything_fails_says_the_first_few_and_how_many_more(tmp_path):
    failures = [Failure("train", f"run{number}", str(tmp_path / "log")) for number in range(JOBS + 3)]
    said = list(report(reversed(failures), "snakemake"))
    assert [line for line in said if "alone" in line] == [f"  alone: snakemake run{number}" for number in range(JOBS)]
    assert said[-1] == "ballast: 3 more jobs failed"
    assert not list(report([], "snakemake"))


COST = "doctor: 3.12 + 0.42 CPU seconds (user + system), 313 MiB at most, 3.03 s elapsed"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a warning", COST], None),
        ([], None),
        (["a warning", "doctor: 2 of 9 things", COST, FAILED], "doctor: 2 of 9 things"),
        ([COST, FAILED], "failed; see {log}"),
    ],
)
def test_a_job_that_snakemake_takes_for_done_tells_its_error(tmp_path, lines, said):
    log = tmp_path / "doctor.log"
    log.write_text("".join(f"{line}\n" for line in lines))
    assert told(log) == (said and said.format(log=log))
