"""The parts of Snakemake that Ballast uses and that Snakemake does not promise to keep."""

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import snakemake
from snakemake.api import Workflow
from snakemake.common import Rules
from snakemake.dag import DAG
from snakemake.io import _IOFile
from snakemake.modules import WorkflowModifier
from snakemake.path_modifier import PathModifier
from snakemake.persistence import MetadataRecord, ParamsChange
from snakemake.persistence.file import FilePersistence
from snakemake.scheduling.job_scheduler import JobScheduler
from snakemake.settings.types import ResourceSettings

from ballast.files import BallastError
from ballast.running.inside_snakemake import FITS, IMAGE, InsideSnakemake

ROOT = Path(__file__).parents[2]
HOME = str(ROOT / "scripts")


def workflow(main=True, deployment=(), **more):
    settings = SimpleNamespace(deployment_method=set(deployment))
    modifier = SimpleNamespace(avail_rulename=lambda rule: rule)
    return SimpleNamespace(deployment_settings=settings, is_main_process=main, modifier=modifier, **more)


def test_another_version_of_snakemake_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(snakemake, "__version__", "9.28.0")
    with pytest.raises(
        BallastError, match=rf"^Snakemake 9\.28\.0: Ballast fits {FITS}; pip install 'snakemake=={FITS}\.\*'$"
    ):
        InsideSnakemake(workflow())


def test_this_version_is_the_one_that_fits_and_every_place_that_names_a_version_names_it():
    why = f"running/inside_snakemake.py fits Snakemake {FITS}: read its methods again, then change FITS and the pins"
    assert snakemake.__version__.startswith(f"{FITS}."), why
    pinned = re.search(r"^snakemake==(\S+)$", (ROOT / "envs/run.lock").read_text(), re.MULTILINE)[1]
    assert pinned == snakemake.__version__
    major, minor = FITS.split(".")
    assert f'"snakemake>={FITS},<{major}.{int(minor) + 1}"' in (ROOT / "pyproject.toml").read_text()


def test_snakemake_has_what_ballast_reaches_for():
    assert list(inspect.signature(JobScheduler.schedule).parameters) == ["self"]
    assert list(inspect.signature(JobScheduler.exit_gracefully).parameters) == ["self", "args"]
    for name in (
        "is_main_process",
        "local_exec",
        "touch",
        "dryrun",
        "group_settings",
        "main_snakefile",
        "overwrite_configfiles",
    ):
        assert hasattr(Workflow, name) or name in inspect.getsource(Workflow), name
    assert hasattr(ResourceSettings, "_parsed_overwrite_resources")
    for name in ("avail_rulename", "is_main_snakefile", "self.path_modifier", "self.rule_proxies"):
        assert name in inspect.getsource(WorkflowModifier), name
    assert hasattr(PathModifier, "replace_prefix") and "_rules" in vars(Rules())
    assert list(inspect.signature(PathModifier.modify).parameters) == ["self", "path", "property"]
    assert list(inspect.signature(PathModifier.apply_default_storage).parameters) == ["self", "path"]
    assert hasattr(_IOFile, "store_in_storage") and hasattr(_IOFile, "retrieve_from_storage")
    for name in ("job_rate_limiter", "failed"):
        assert name in inspect.getsource(JobScheduler), name
    for name in ("_record_path", "_get_key", "_params", "_code", "params_changed", "code_changed", "input_changed"):
        assert hasattr(FilePersistence, name), name
    for name in ("software_stack_changed", "has_metadata", "has_outdated_metadata", "input_checksums", "incomplete"):
        assert hasattr(FilePersistence, name), name
    assert "self._metadata_path" in inspect.getsource(FilePersistence)
    assert "self.max_checksum_file_size" in inspect.getsource(DAG)
    assert {"only_old", "only_new"} <= ParamsChange.__dataclass_fields__.keys()
    assert {"params", "code"} <= MetadataRecord().keys()


ANCIENT = """
from types import SimpleNamespace
from ballast.running.inside_snakemake import InsideSnakemake
InsideSnakemake(workflow)
rule last:
    input: f"picked{config['size']}.txt"
    output: "last.txt"
    shell: "cat {input} > {output}"
rule pick:
    input: ancient("accepted.txt")
    output: "picked{n}.txt"
    shell: "echo {wildcards.n} > {output}"
rule accept:
    output: "accepted.txt"
    params: config["checks"]
    shell: "echo {params} > {output}"
"""


def test_a_missing_file_behind_an_ancient_one_is_made_though_that_one_is_pending(tmp_path):
    (tmp_path / "Snakefile").write_text(ANCIENT)
    for n, checks in ((1, 1), (2, 2)):
        asked = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", f"size={n}", f"checks={checks}"]
        done = subprocess.run(
            asked, cwd=tmp_path, env=os.environ | {"PYTHONPATH": HOME}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert (tmp_path / "accepted.txt").read_text() == f"{checks}\n"
        assert (tmp_path / "last.txt").read_text() == f"{n}\n", "Snakemake says that it is done, and did nothing"
    again = subprocess.run(
        [*asked, "-n", "-q"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": HOME}, capture_output=True
    )
    assert b"Nothing to be done" in again.stdout + again.stderr or not again.stdout


def test_apptainer_without_an_image_is_said_in_one_line(monkeypatch, tmp_path):
    from snakemake.settings.types import DeploymentMethod

    monkeypatch.chdir(tmp_path)
    with pytest.raises(BallastError, match=f"^{IMAGE}: no image here; docs/containers.md"):
        InsideSnakemake(workflow(deployment=[DeploymentMethod.APPTAINER]))


@pytest.mark.parametrize(("there", "main", "dryrun", "asked"), [(1, 1, 0, 1), (0, 1, 0, 0), (1, 0, 0, 0), (1, 1, 1, 0)])
def test_a_job_waits_for_the_barrier_only_where_it_can(monkeypatch, tmp_path, there, main, dryrun, asked):
    monkeypatch.setattr(InsideSnakemake, "_hook", lambda self: None)
    barrier = tmp_path / "settled.txt"
    if there:
        barrier.touch()
    calls = []
    checkpoints = SimpleNamespace(settle=SimpleNamespace(get=lambda: calls.append(1)))
    flow = workflow(bool(main), dryrun=False)
    settled = InsideSnakemake(flow).settled(checkpoints, str(barrier))
    flow.dryrun = bool(dryrun)  # known only once all rules are read
    assert settled(None) == [] and len(calls) == asked


def test_a_process_that_runs_one_job_tells_its_stages_and_the_main_one_does_not(monkeypatch):
    before = JobScheduler.exit_gracefully, JobScheduler.schedule
    monkeypatch.setattr(JobScheduler, "exit_gracefully", before[0])
    monkeypatch.setattr(JobScheduler, "schedule", before[1])
    monkeypatch.setattr(JobScheduler, "tells_stages", False, raising=False)
    InsideSnakemake(workflow())
    assert (JobScheduler.exit_gracefully, JobScheduler.schedule) == before
    InsideSnakemake(workflow(main=False))
    hooked = JobScheduler.exit_gracefully, JobScheduler.schedule
    assert hooked[0] is not before[0] and hooked[1] is not before[1]
    InsideSnakemake(workflow(main=False))
    assert (JobScheduler.exit_gracefully, JobScheduler.schedule) == hooked, "Snakemake reads a module more than once"


def started(monkeypatch, tmp_path, package="vllm", pending=("sample", "generate"), deployment=(), local=True):
    """Start a run with these pending jobs, where a mere folder has the package's name."""
    (tmp_path / package).mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    jobs = [SimpleNamespace(rule=SimpleNamespace(name=name)) for name in pending]
    dag, scheduler = SimpleNamespace(needrun_jobs=lambda: jobs), SimpleNamespace()
    flow = workflow(deployment=deployment, dag=dag, scheduler=scheduler, local_exec=local, touch=False)
    InsideSnakemake(flow).start({"generate": {package}, "sample": set()})


def test_a_package_that_is_not_here_stops_before_the_first_job(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="^ballast: generate: not-here is not installed in this environment"):
        started(monkeypatch, tmp_path, package="not-here")


@pytest.mark.parametrize(
    "where",
    [
        {"pending": ["sample"]},
        {"local": False},
        {"deployment": ["apptainer"]},
        {"package": "yaml"},
    ],
    ids=["not-asked", "cluster", "apptainer", "installed"],
)
def test_a_package_is_looked_for_only_where_a_pending_job_needs_it(monkeypatch, tmp_path, where):
    from snakemake.settings.types import DeploymentMethod

    deployment = [DeploymentMethod.APPTAINER] if "deployment" in where else []
    monkeypatch.setattr("ballast.running.inside_snakemake.IMAGE", str(tmp_path))
    if where.get("package"):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: SimpleNamespace(origin="yaml.py"))
    started(monkeypatch, tmp_path, **where | {"deployment": deployment})


def test_conda_changes_nothing_and_the_image_has_its_own_python(monkeypatch, tmp_path):
    from snakemake.settings.types import DeploymentMethod

    monkeypatch.setattr("ballast.running.inside_snakemake.IMAGE", str(tmp_path))
    for method, python in ((DeploymentMethod.CONDA, sys.executable), (DeploymentMethod.APPTAINER, "python")):
        prefix = InsideSnakemake(workflow(deployment=[method])).shell_prefix()
        assert f"else {python} {HOME}/stage.py " in prefix


class Running(SimpleNamespace):
    """A job that runs, as the scheduler holds it; `of`: the jobs of a group."""

    def is_group(self) -> bool:
        return hasattr(self, "of")

    def __iter__(self):
        return iter(self.of)


def test_running_jobs_tell_their_progress_alone_and_in_groups(tmp_path):
    logs = [tmp_path / f"{name}.log" for name in "abc"]
    for log, said in zip(
        logs, ("progress: 1 of 2 steps, 0:20 left", "progress: 3 of 4 rows, 0:10 left", ""), strict=True
    ):
        log.write_text(f"begun\n{said}\n")
    one, two, silent = (Running(output=[log.stem], log=[str(log)], rule=SimpleNamespace(name="r")) for log in logs)
    inside = InsideSnakemake.__new__(InsideSnakemake)
    inside.workflow = SimpleNamespace(scheduler=SimpleNamespace(running=[one]))
    assert list(inside._progress()) == ["a: 1 of 2 steps, 0:20 left"]
    inside.workflow.scheduler.running = [one, Running(of=[two, silent]), Running(output=[], log=[], rule=one.rule)]
    assert list(inside._progress()) == ["a: 1 of 2 steps, 0:20 left", "b: 3 of 4 rows, 0:10 left"]
    inside.workflow.scheduler = None
    assert list(inside._progress()) == []
