"""Judgements by real processes: one load for all of a judge, the same bytes, its own log and status for each job."""

import json
import os
import re
import shutil
import signal
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from helpers.preloaded import ALONE, STAGE, starting, wait_until

from ballast import schemas
from ballast.asking import keep_model

LOADED, KEPT = "loaded, and kept for the next job", "kept from the job before"
OPTIONS = {"backend": "transformers", "batch_size": 4, "max_length": 64, "dtype": "float32", "max_unparsable": 0.2}


class Judging:
    """A folder with responses, and judge jobs in it."""

    def __init__(self, folder: Path, model: str, environment: dict[str, str]):
        self.folder, self.environment = folder, environment
        self.model = shutil.copytree(model, folder / "model")
        table = {"benchmark": "b", "id": list("abc"), "prompt": ["p", "q", "r"], "response": ["x", "y " * 9, "z"]}
        table |= {"category": 0, "finish_reason": "stop", "prompt_tokens": 1, "response_tokens": 1, "prompt_cut": False}
        schemas.write(folder / "responses.parquet", pd.DataFrame(table), schemas.RESPONSES)

    def command(self, name: str, judge: str = "harm-rm", responses: str = "responses.parquet", **changed) -> list[str]:
        options = json.dumps(OPTIONS | {"model": str(self.model)} | changed)
        files = ["--benchmark", "b", "--responses", responses, "--out", f"{name}.parquet"]
        return [*STAGE, "judge", "--judge", judge, "--options", options, *files]

    def start(self, name: str, *extra: str, **changed) -> subprocess.Popen:
        with open(self.folder / f"{name}.log", "w") as log:
            return subprocess.Popen(
                [*self.command(name, **changed), *extra],
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def judge(self, name: str, *extra: str, **changed) -> int:
        return self.start(name, *extra, **changed).wait(120)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    def said(self, name: str) -> str:
        return "loaded" if LOADED in self.log(name) else "kept" if KEPT in self.log(name) else ""

    def keepers(self) -> list[int]:
        """Processes that work in the folder, but for a judge job's own."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    entry.joinpath("cwd").resolve() == self.folder
                    and b"preload_server.py" in (entry / "cmdline").read_bytes()
                ):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def judging(tmp_path, reward_model, preloaded):
    return Judging(tmp_path, reward_model, preloaded)


def test_two_jobs_of_a_judge_load_its_model_once_and_write_what_a_job_alone_writes(judging):
    assert judging.judge("first") == judging.judge("second") == 0
    assert [judging.said(name) for name in ("first", "second")] == ["loaded", "kept"]
    assert len(judging.keepers()) == 1
    judging.environment = ALONE
    assert judging.judge("alone") == 0 and not judging.said("alone")
    names = ("first", "second", "alone")
    assert len({(judging.folder / f"{name}.parquet").read_bytes() for name in names}) == 1


def test_a_job_s_log_is_its_own_and_counts_what_it_used_itself(judging):
    judging.judge("first")
    judging.judge("second")
    lines = judging.log("second").splitlines()
    assert len(lines) == len(judging.log("first").splitlines()) == 4
    used = [re.search(r"judge: (\S+) \+ (\S+) CPU", judging.log(name)).groups() for name in ("first", "second")]
    assert sum(map(float, used[1])) < sum(map(float, used[0]))
    # Where it waits, none of a job's files is open.
    [keeper] = judging.keepers()
    assert {os.readlink(f"/proc/{keeper}/fd/{number}") for number in range(3)} == {os.devnull}


def test_another_judge_has_a_process_of_its_own_and_nobody_keeps_the_first(judging):
    judging.judge("harm")
    [first] = judging.keepers()
    assert judging.judge("helpful", judge="helpful-rm", batch_size=8) == 0 and judging.said("helpful") == "loaded"
    assert judging.keepers() != [first] and len(judging.keepers()) == 1
    assert judging.judge("again") == 0 and judging.said("again") == "loaded"


def test_a_judge_without_a_model_ends_nobody_and_another_stage_does(judging):
    judging.judge("first")
    [first] = judging.keepers()
    assert judging.judge("rule", judge="refusal-string", model=None) == 0
    assert judging.keepers() == [first]
    stage = subprocess.run([*STAGE, "data"], env=judging.environment, capture_output=True, text=True)
    assert stage.returncode == 2 and not judging.keepers()


def test_judges_that_work_at_once_have_a_process_each(judging):
    os.mkfifo(judging.folder / "slow.json")  # reading it waits
    slow = judging.start("slow", "--canaries", "slow.json")
    wait_until(judging.keepers, 60)
    assert judging.judge("beside") == 0 and len(judging.keepers()) == 2
    slow.kill()
    slow.wait()
    wait_until(lambda: len(judging.keepers()) == 1, 10)
    assert judging.judge("after") == 0 and judging.said("after") == "kept"


@pytest.mark.parametrize("wrong", ["canary", "torn"])
def test_a_job_that_fails_says_so_and_the_next_one_works(judging, wrong):
    judging.judge("first")
    canary = [{"kind": "harmful", "prompt": "p", "response": "r"}]
    (judging.folder / "canaries.json").write_text(json.dumps(canary))
    (judging.folder / "torn.parquet").write_bytes(b"PAR1")
    if wrong == "canary":
        assert judging.judge("bad", "--canaries", "canaries.json") == 1
        assert "judge: judge harm-rm: the canary 'harmful' scored" in judging.log("bad")
    else:
        assert judging.judge("bad", responses="torn.parquet") == 1
        assert judging.log("bad").startswith("judge: torn.parquet")
    assert not (judging.folder / "bad.parquet").exists()
    assert judging.judge("next") == 0 and judging.said("next") == "kept"
    assert "canary" not in judging.log("next") and "torn" not in judging.log("next")


def test_an_error_that_nobody_foresaw_ends_the_process_and_the_next_job_works(judging):
    judging.judge("first")
    [first] = judging.keepers()
    odd = [{"kind": "of no kind", "prompt": "p", "response": "r"}]
    (judging.folder / "canaries.json").write_text(json.dumps(odd))
    assert judging.judge("bad", "--canaries", "canaries.json") == 1
    assert KEPT in judging.log("bad") and "KeyError" in judging.log("bad")
    assert judging.judge("next") == 0 and judging.said("next") == "loaded" and first not in judging.keepers()


def test_a_model_whose_files_changed_is_loaded_anew(judging, reward_model):
    judging.judge("first")
    shutil.copy(Path(reward_model) / "model.safetensors", judging.model)  # another time stamp
    assert judging.judge("second") == 0 and judging.said("second") == "loaded"
    os.truncate(judging.model / "model.safetensors", 1000)
    assert judging.judge("third") == 1 and "not a whole safetensors file" in judging.log("third")


@pytest.mark.slow
@pytest.mark.parametrize("busy", [False, True])
def test_nothing_survives_the_end_of_snakemake(tmp_path, reward_model, busy):
    with starting() as (environment, parent):
        judging = Judging(tmp_path, reward_model, environment)
        # The first job comes before the process is ready, and waits for it.
        assert judging.judge("first") == 0 and judging.said("first") == "loaded"
        if busy:
            os.mkfifo(tmp_path / "slow.json")
            job = judging.start("slow", "--canaries", "slow.json")
            wait_until(lambda: Path(f"/proc/{judging.keepers()[0]}/fd/1").resolve().name == "slow.log", 20)
        parent.send_signal(signal.SIGKILL)
        wait_until(lambda: not judging.keepers(), 10)
        assert not busy or job.wait(10) != 0


def longer(file: Path) -> None:
    """Change a file's size, and leave its time stamp."""
    times = file.stat()
    file.write_bytes(file.read_bytes() * 2)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def replaced(file: Path) -> None:
    """Put another file of the same size and time stamp in a file's place."""
    other = shutil.copy2(file, file.with_name("other"))
    os.replace(other, file)


@pytest.mark.parametrize("change", [longer, replaced, lambda file: os.utime(file, ns=(0, 0))])
def test_a_model_is_loaded_anew_if_a_file_that_it_links_to_differs(tmp_path, monkeypatch, change):
    (tmp_path / "blob").write_bytes(b"weights")
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.safetensors").symlink_to(tmp_path / "blob")
    monkeypatch.setattr(keep_model, "_kept", keep_model.Kept())
    loads = []

    def use() -> int:
        with keep_model.model(str(tmp_path / "model"), "float32", lambda: nullcontext(loads.append("load"))):
            return len(loads)

    assert [use(), use()] == [1, 1]
    change(tmp_path / "blob")
    assert [use(), use()] == [2, 2]


def test_what_is_kept_is_freed_before_another_model_is_loaded_and_after_an_error(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setattr(keep_model, "_kept", keep_model.Kept())
    told = []

    class Loaded:
        def __init__(self, name):
            self.name = name

        def __enter__(self):
            told.append(f"load {self.name}")
            return self.name

        def __exit__(self, *error):
            told.append(f"free {self.name}")

    def use(name, shape="float32", fails=False):
        with keep_model.model(str(tmp_path / name), shape, lambda: Loaded(name)) as model:
            assert model == name
            if fails:
                raise KeyboardInterrupt

    use("a")
    use("a")
    use("b")
    use("b", shape="bfloat16")
    assert told == ["load a", "free a", "load b", "free b", "load b"]
    with pytest.raises(KeyboardInterrupt):
        use("b", shape="bfloat16", fails=True)
    assert told.pop() == "free b"
    use("b", shape="bfloat16")
    assert told.pop() == "load b"
    monkeypatch.setattr(keep_model, "_kept", None)
    use("a")
    assert told[-2:] == ["load a", "free a"]
