"""All that Ballast does inside Snakemake beyond its rules: it uses parts that Snakemake does not promise to keep.

They fit Snakemake FITS alone; another version is refused in one line. Nothing of the package imports Snakemake but this
file, `inside_plan.py`, which has how it plans, and `inside_storage.py`, for results on a storage.
"""

import argparse
import atexit
import importlib.util
import json
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ballast import identity, progress
from ballast.categories import OWN
from ballast.files import BallastError
from ballast.plugins import HOME
from ballast.running import endings, failures, inside_plan, libraries, overview, preload, stops
from ballast.running.copies import COPIES
from ballast.training.tracking import TRACKERS

FITS = "9.27"
IMAGE = "envs/ballast.sif"
RESULTS = "results"
PLANNED = "BALLAST_PLANNED"  # environment: the identities of a plan, by stage and plug-ins
ADOPT = "adopt"
JUDGING = ("judge", "pairwise")
# Linux takes 128 KiB in one argument, and 2 MiB in all. A character is up to four bytes.
LONG = 30_000
# Packages that a study's environment has and that of `make init` lacks.
STUDYS_PACKAGES = ("torch", "sentence_transformers")
STUDYS = "`pip install --requirement envs/run.lock` makes this environment one for studies"


class InsideSnakemake:
    """One Snakemake process that runs the workflow: the main one, or one that runs a single job of a cluster."""

    def __init__(self, workflow):
        # Imported here: the package must import where Snakemake is not installed.
        import snakemake
        from snakemake.settings.types import DeploymentMethod

        if not f"{snakemake.__version__}.".startswith(f"{FITS}."):
            raise BallastError(
                f"Snakemake {snakemake.__version__}: Ballast fits {FITS}; pip install 'snakemake=={FITS}.*'"
            )
        if set("{}") & set(str(HOME)):
            raise BallastError(f"{HOME.parents[1]}: Snakemake reads {{ }} in a path as wildcards; rename this folder")
        self.workflow = workflow
        self.oom_kills = endings.oom_kills()
        # While Snakemake reads a module, that module's. Only then does the workflow know it.
        self.modifier = workflow.modifier
        self.deployed = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
        if self.deployed and not os.path.exists(IMAGE):
            raise BallastError(f"{IMAGE}: no image here; docs/containers.md says how it is built")
        self.copies = None
        inside_plan.decide_behind_ancient_files()
        inside_plan.plan_sooner()
        if not workflow.is_main_process:  # Snakemake calls no `onstart` there
            self._hook()

    def results(self) -> str:
        """Return the folder of all results: in a module with `prefix: "mine"` it is mine/results.

        Snakemake would put the prefix before data, templates and code too, and not into params. So the folder's name
        has it, and nothing else has. On a storage it is the folder of local copies. Call it before any rule is defined.
        """
        from snakemake.path_modifier import PathModifier

        found = self.modifier.path_modifier.replace_prefix(f"{RESULTS}/").rstrip("/")
        if Path(found).name != RESULTS or Path(found).parts.count(RESULTS) != 1:
            raise BallastError(f"module: {found}: give a `prefix` without a folder {RESULTS}, and no `replace_prefix`")
        if not self.workflow.storage_settings.default_storage_provider:
            self.modifier.path_modifier = PathModifier(None, None, self.workflow)
            return found
        from ballast.running.inside_storage import StoredResults

        self.modifier.path_modifier = StoredResults(self.workflow, found)
        self.copies = self.modifier.path_modifier.copies
        return f"{self.copies}/{found}"

    def has_results(self, stage: str) -> None:
        """Raise BallastError if the results lie on a storage, so that a stage would not find them here."""
        if self.copies:
            raise BallastError(f"{stage}: results lie on a storage; copy them here for it (docs/storage.md)")

    def rules(self) -> list[str]:
        """Return the rules so far, in order, by their names in Ballast."""
        return list(self.modifier.rule_proxies._rules)

    def called(self, rule: str) -> str | None:
        """Return the name that a module gives a rule of Ballast; None if it does not use this rule."""
        return self.modifier.avail_rulename(rule)

    def shell(self, taxonomy: str | None = None) -> type:
        """Return the `shell` of Ballast's rules, whose commands know `stage`; other rules keep their own."""
        from snakemake.shell import shell

        class Stages(shell):
            pass

        prefix = self.shell_prefix(taxonomy)
        Stages.prefix(prefix)
        if self.workflow.is_main_process and inside_plan.LISTED in os.environ:
            inside_plan.list_jobs(os.environ[inside_plan.LISTED], prefix.replace("{{", "{").replace("}}", "}"))
        return Stages

    def shell_prefix(self, taxonomy: str | None = None) -> str:
        """Return the shell text before each command: `stage NAME ...` in a rule runs scripts/NAME.py.

        No path of this machine enters a rule. With `--sdm apptainer` the image has the interpreter. The shell waits for
        a stage that is told to stop, so that the stage can save, and has a second one tell how a failed one ended.
        `taxonomy`: the file of the study's own categories.
        """
        python = "python" if self.deployed else sys.executable
        stage = shlex.join([python, str(HOME.parent / "stage.py")])
        named = {OWN: taxonomy, COPIES: self.copies}
        own = "".join(f"export {name}={shlex.quote(value)}; " for name, value in named.items() if value)
        # A job may name every run: more words than a command line holds go through a pipe.
        long = f'if [ ${{#words}} -gt {LONG} ]; then {stage} @<(printf "%s\\0" "$@"); else {stage} "$@"; fi'
        told = f'{stage} --ended $? "$1" {self.oom_kills}'
        prefix = f'{own}trap : TERM HUP; stage() {{ local words="$*"; {long} || {told}; }}; '
        return prefix.replace("{", "{{").replace("}", "}}")  # Snakemake formats it

    def code_identities(self, taxonomy) -> Callable[..., str]:
        """Return `identity.code_identity` for rules; `taxonomy`: the study's own categories.

        The code does not change between the jobs of a plan, whatever happens to its files: a job of a cluster takes
        the identities of the process that planned it, and then finds that its files are others (`same_code.py`).
        """
        known = {} if self.workflow.is_main_process else json.loads(os.environ.get(PLANNED, "{}"))

        def code_identity(stage: str, *plugins: str) -> str:
            name = ":".join([stage, *plugins])
            if name not in known:
                known[name] = identity.code_identity(stage, *plugins, taxonomy=taxonomy)
                os.environ[PLANNED] = json.dumps(known)
            return known[name]

        return code_identity

    def close_dry_run(self, folders: list[str]) -> None:
        """After a dry run, say how far the study is, and which artefacts other versions of libraries made.

        `folders` hold the artefacts. Snakemake calls nothing at the end of a dry run, and knows only after it has read
        all rules whether this is one.
        """
        atexit.register(self._close_dry_run, folders)

    def _close_dry_run(self, folders: list[str]) -> None:
        if self.workflow.is_main_process and self.workflow.dryrun:
            self._say_how_far()
            for line in libraries.advice(folders):
                print(line, file=sys.stderr)

    def _say_how_far(self) -> None:
        """Print done, running and left jobs of each stage, if a job was ever begun; Snakemake lists those left."""
        if not (dag := getattr(self.workflow, "_dag", None)):
            return
        states = {job: self._state(job) for job in dag.jobs if job.output}
        if set(states.values()) - {overview.LEFT}:
            stages = [name for rule in self.rules() if (name := self.called(rule))]
            print(overview.table(((job.rule.name, state) for job, state in states.items()), stages), file=sys.stderr)

    def _state(self, job) -> str:
        """Return a job's state: that of this process's jobs, and in a dry run of another's, which has the lock."""
        dag, here = self.workflow.dag, self.workflow.scheduler
        # A dry run finishes each job that it lists.
        if not dag.needrun(job) or (dag.finished(job) and not self.workflow.dryrun):
            return overview.DONE
        if here and job in here.running:
            return overview.RUNNING
        known = self.workflow.persistence
        begun = known._filter_incomplete_keys([known._get_key(file) for file in job.output])
        elsewhere = self.workflow.dryrun and begun and any(known._read_locks())
        return overview.RUNNING if elsewhere else overview.LEFT

    def _show_progress(self) -> None:
        """Show in a terminal, now and then, how far the running jobs are."""
        while True:
            time.sleep(progress.EVERY)
            for line in self._progress():
                print(line, file=sys.stderr)

    def _progress(self) -> Iterator[str]:
        """Return a line for each running job whose log tells how far it is."""
        jobs = list(self.workflow.scheduler.running) if self.workflow.scheduler else []
        single = [job for found in jobs for job in (found if found.is_group() else [found]) if job.log]
        return overview.running((str([*job.output, job.rule.name][0]), str([*job.log][0])) for job in single)

    def take_gpus(self, wanted: dict[str, str]) -> None:
        """Give the jobs of a rule as many GPUs of one node as the study wants, where the profile gives them one.

        `wanted`: an expression of the job's wildcards, by rule. Call it before any rule is defined.
        """
        from snakemake.resources import Resources

        if not self.workflow.is_main_process:  # the main one has told this process
            return
        given = self.workflow.resource_settings._parsed_overwrite_resources
        # Snakemake reads a module once per `use rule`.
        told = vars(self.workflow).setdefault("told_gpus", set())
        for rule, number in wanted.items():
            if (name := self.called(rule)) in told:
                continue
            told.add(name)
            asked = given.get(name, Resources())
            changed = [f"gpu={number}"] if "gpu" in asked else []
            if "gres" in asked:
                changed = [f"gres={asked['gres'].raw.rpartition(':')[0] + ':'!r} + str({number})"]
            changed += ["nodes=1"] if changed and "slurm_partition" in asked else []
            asked.update(Resources.parse(changed, allow_expressions=True))

    def settled(self, checkpoints, barrier: str) -> Callable:
        """Return an input function that adds no file: it decides a job once the barrier is there.

        A dry run, or a job on another node, cannot wait: it counts each pending job as if its inputs had changed.
        """
        there = os.path.exists(barrier)

        def settled(wildcards):
            # Snakemake knows only after it has read all rules whether this is a dry run.
            if there and self.workflow.is_main_process and not self.workflow.dryrun:
                checkpoints.settle.get()
            return []

        return settled

    @staticmethod
    def or_exit(check: Callable[[], None]) -> list:
        """Return no input file; exit with one line, and not Snakemake's traceback, if a check of the config fails."""
        try:
            check()
        except BallastError as error:
            sys.exit(f"ballast: {error}")
        return []

    def start(self, packages: dict[str, set[str]]) -> None:
        """Prepare this machine for its jobs; stop if a pending one needs a package that is not here.

        `packages`: those that jobs of a rule import, by rule.
        """
        stops.started.set()
        if self.workflow.is_main_process and sys.stderr.isatty():
            threading.Thread(target=self._show_progress, daemon=True).start()
        if self.copies and self.workflow.is_main_process and not self.workflow.local_exec:
            self.modifier.path_modifier.stop_if_apart()
        if not (self.workflow.is_main_process and self.workflow.local_exec):
            return
        pending = [job.rule.name for job in self.workflow.dag.needrun_jobs()]
        if not self.deployed and not self.workflow.touch:
            _stop_if_absent(pending, {self.called(rule): needed for rule, needed in packages.items()})
        # Few jobs import their libraries sooner than the preloaded process does. These two hide how many will come.
        many = len(pending) > 3 or not {self.called("settle"), self.called(ADOPT)}.isdisjoint(pending)
        if not self.deployed and many:
            preload.start()
        # Snakemake 9.27 leaks one timer per finished job while it limits the rate of jobs. Only a queue needs a limit.
        self.workflow.scheduler.job_rate_limiter = None

    def report_failures(self, results: str) -> None:
        """Print how each failed job ended and the command that runs it alone, and whether the disk is full."""
        if not self.workflow.is_main_process:
            return
        self._say_how_far()
        print(*failures.report(self._failed(), self.command()), sep="\n", file=sys.stderr)
        # On a full disk a job cannot even write into its log what is wrong.
        if os.path.exists(results):
            free = shutil.disk_usage(results).free / 2**20
            if free < 1:
                print(f"ballast: {results}: {free:.1f} MiB free on its disk; make room and run again", file=sys.stderr)

    def exit_if_failed(self, rule: str, log: str) -> None:
        """Exit with the error of a rule's job, if it ran and its log ends in FAILED."""
        ran = self.called(rule) in [job.rule.name for job in self.workflow.dag.finished_jobs]
        if ran and (error := failures.told(Path(log))):
            sys.exit(f"ballast: {error}")

    def command(self) -> str:
        """Return how a person runs this study from this folder."""
        elsewhere = os.path.relpath(self.workflow.main_snakefile)
        profile = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        profile.add_argument("--profile", nargs="+", default=[])
        # Each flag once: Snakemake takes the last alone.
        given = {
            "--profile": profile.parse_known_args()[0].profile,
            "--snakefile": [elsewhere] if os.path.dirname(elsewhere) else [],
            "--configfile": [os.path.relpath(file) for file in self.workflow.overwrite_configfiles],
            **{flag: [value] for flag, value in self._storage().items() if value},
            "--config": [f"{key}={json.dumps(value)}" for key, value in changes(self.workflow).items()],
        }
        return shlex.join(["snakemake", *(word for flag, words in given.items() if words for word in (flag, *words))])

    def adoptable(self) -> None:
        """Raise BallastError where `snakemake adopt` cannot work, by its number of jobs or by how Snakemake runs."""
        from snakemake.persistence.file import FilePersistence

        if type(self.adopted()) is not int or self.adopted() < 1:
            raise BallastError(f"--config adopt={self.adopted()}: give the number of jobs to make again, 1 or more")
        if self.deployed:
            raise BallastError("adopt: leave out --sdm apptainer: jobs are made again in this environment")
        if not isinstance(self.workflow.persistence, FilePersistence):
            raise BallastError("adopt: it changes Snakemake's records in files; leave out --persistence-backend")
        self.has_results("adopt")

    def adopted(self) -> int:
        """Return how many jobs of each stage `snakemake adopt` makes again, the most."""
        return self.workflow.config_settings.config.get(ADOPT, 3)

    def targets(self, on_request: dict[str, list]) -> list[str]:
        """Return the default target, and those on request of which a file is there; `on_request`: their files."""
        asked = (name for name, files in on_request.items() if any(map(os.path.exists, files)))
        return [self.called(name) for name in ("all", *asked)]

    def _storage(self) -> dict[str, str | None]:
        """Return the flags that name the storage of the results."""
        settings = self.workflow.storage_settings
        provider, prefix = settings.default_storage_provider, settings.default_storage_prefix
        return {"--default-storage-provider": provider, "--default-storage-prefix": provider and prefix}

    def groups(self) -> dict[str, tuple[str, int]]:
        """Return each stage that the executor groups: its group, and how many of its parts make one cluster job."""
        settings = self.workflow.group_settings
        size, groups = settings.group_components, settings.overwrite_groups
        own = {rule: groups[name] for rule in self.rules() if (name := self.called(rule)) in groups}
        return {stage: (group, size.get(group, 1)) for stage, group in own.items()}

    def _failed(self) -> Iterator[failures.Failure]:
        """Yield the jobs that failed; of a group, those that left no output."""
        for failed in self.workflow.scheduler.failed:
            for job in failed if failed.is_group() else [failed]:
                if not (failed.is_group() and any(map(os.path.exists, job.output))):
                    target = str([*job.output, job.rule.name][0]).removeprefix(f"{self.copies}/")
                    if self.copies:
                        self.modifier.path_modifier.fetch(job.log[0])
                    yield failures.Failure(job.rule.name, target, str([*job.log][0]))

    def _hook(self) -> None:
        """Replace two methods of the scheduler of a process that runs a single job of a cluster."""
        from snakemake.scheduling.job_scheduler import JobScheduler

        if getattr(JobScheduler, "tells_stages", False):
            return
        wait_for_jobs, schedule = JobScheduler.exit_gracefully, JobScheduler.schedule

        def tell_stages(scheduler, *received):
            # A cluster may tell only the first process of a job that its time is up: here it tells the others.
            if scheduler.workflow.local_exec:
                stops.end_jobs(signal.SIGTERM)
            wait_for_jobs(scheduler, *received)

        def schedule_together(scheduler):
            # Judgements that travel as one job of a cluster, each in its own Snakemake, share a preloaded process.
            names = [self.called(rule) for rule in JUDGING]
            judging = [job for job in scheduler.workflow.dag.needrun_jobs() if job.rule.name in names]
            if not self.deployed and len(judging) > 1:
                preload.start()
            return schedule(scheduler)

        JobScheduler.exit_gracefully, JobScheduler.schedule = tell_stages, schedule_together
        JobScheduler.tells_stages = True


def _stop_if_absent(pending: list[str], packages: dict[str, set[str]]) -> None:
    """Exit with one line if a pending job's package is absent: else it fails after hours of training before it."""
    for rule in dict.fromkeys(pending):
        for package in sorted(packages.get(rule, ())):
            found = importlib.util.find_spec(package)
            if not (found and found.origin):  # a mere folder of that name has no origin
                instead = "give another backend in the config, or run on a cluster that has it"
                advice = STUDYS if package in STUDYS_PACKAGES else f"install it (envs/gpu.lock), {instead}"
                if package in TRACKERS:
                    advice = f"pip install {package}, or leave training.tracking out of the config"
                sys.exit(
                    f"ballast: {rule}: {package} is not installed in this environment, so no job is started; {advice}"
                )


def changes(workflow) -> dict:
    """Return the keys of the study that `--config` gives; `adopt` is none where that is a target."""
    given = dict(workflow.config_settings.config)
    if ADOPT in sys.argv:  # Snakemake reads the rules before it tells the targets
        given.pop(ADOPT, None)
    return given
