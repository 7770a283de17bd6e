"""Change how Snakemake plans, and list the jobs of a plan; a part of `inside_snakemake.py`."""

import functools
import gc
import itertools
import os
import re

from ballast.files import write_json

LISTED = "BALLAST_LISTED"  # environment: the file in which a dry run lists its jobs, for `snakemake adopt`


def decide_behind_ancient_files() -> None:
    """Let Snakemake decide each job behind an `ancient` file of a pending job.

    Snakemake 9.27 takes all jobs behind a pending one as pending and looks at no reason of their own; then it leaves
    out those that only an ancient file joins. A missing file or changed param behind such a file would do nothing.
    """
    from snakemake.dag import DAG

    if getattr(DAG.bfs, "decides", False):
        return
    walk, decide = DAG.bfs, DAG.update_needrun

    def bfs(self, direction, *jobs, stop=lambda job: False):
        if direction is not self.depending or not getattr(self, "deciding", False):
            return walk(self, direction, *jobs, stop=stop)
        joined = {}
        for job in walk(self, direction, *jobs, stop=stop):
            joined[job] = {other: files for other, files in direction[job].items() if not _ancient(files)}
        return walk(self, joined, *jobs, stop=stop)

    async def update_needrun(self, *given, **named):
        self.deciding = True
        try:
            return await decide(self, *given, **named)
        finally:
            self.deciding = False

    bfs.decides = True
    DAG.bfs, DAG.update_needrun = bfs, update_needrun


def plan_sooner() -> None:
    """Read the parameters of each input function once, not once a job, and look for garbage less often.

    Together they take a quarter of the time of planning thousands of jobs.
    """
    from snakemake import common, jobs, rules

    gc.set_threshold(100_000, 50, 50)
    if not hasattr(common.get_function_params, "cache_info"):
        cached = functools.cache(common.get_function_params)
        for module in (common, jobs, rules):
            module.get_function_params = cached


def list_jobs(place: str, prefix: str) -> None:
    """Let Snakemake write its jobs into a file once it has planned them, each with why it is pending by itself.

    `prefix`: the shell text before each command.
    """
    from snakemake.dag import DAG

    if getattr(DAG.postprocess, "lists", False):
        return
    process = DAG.postprocess

    async def postprocess(dag, *given, **named):
        await process(dag, *given, **named)
        jobs = [job async for job in _listed(dag)]
        write_json(place, {"locked": dag.workflow.persistence.locked, "prefix": prefix, "jobs": jobs})

    postprocess.lists = True
    DAG.postprocess = postprocess


async def _listed(dag):
    """Yield each job of a plan, those that it needs before it, as `adopt.py` reads it."""
    numbers = {}
    for job in itertools.chain.from_iterable(dag.toposorted()):
        numbers[job] = len(numbers)
        needs = [numbers[other] for other, files in dag.dependencies[job].items() if not _ancient(files)]
        files = {"outputs": [*map(str, job.output)], "log": str([*job.log, ""][0])}
        yield {"number": numbers[job], "rule": job.rule.name, "needs": needs} | files | await _state(dag, job)


async def _state(dag, job) -> dict:
    """Return why a job is pending by itself, whatever others do: `state`, empty where it is not, "code" for its code.

    Snakemake looks at no reason of a job behind a pending one. With "code" come the identities before and now, the
    command, the places of Snakemake's records of its outputs and what they would hold.
    """
    records, code = dag.workflow.persistence, job.params.get("code")
    if not job.output:  # a target
        return {"state": ""}
    if not all(map(os.path.exists, job.output)):
        return {"state": "outputs are missing"}
    if await records.incomplete(job):
        return {"state": "outputs are incomplete"}
    if any(records.input_changed(job)) or any([await _updated(dag, job, file) for file in job.input]):
        return {"state": "inputs changed"}
    if not records.has_metadata(job) or records.has_outdated_metadata(job):
        return {"state": ""}
    if any(records.software_stack_changed(job)):
        return {"state": "the environment changed"}
    params = records.params_changed(job)
    if not params and not any(records.code_changed(job)):
        return {"state": ""}
    before = [re.fullmatch(r"'([0-9a-f]{16}(:[^']*)?)'", text) for text in params.only_old] if params else []
    if not code or params and (params.only_new != {repr(code)} or len(before) != 1 or not before[0]):
        return {"state": "params changed"}
    places = [records._record_path(records._metadata_path, records._get_key(file)) for file in job.output]
    now = {"params": records._params(job), "code": records._code(job.rule)}
    gpu = any(job.resources.get(name) for name in ("gpu", "gres"))
    identities = {"before": before[0][1] if before else code, "now": code}
    return {"state": "code", "command": job.shellcmd, "gpu": gpu, "records": places, "recorded": now} | identities


async def _updated(dag, job, file) -> bool:
    """Return whether an input is newer than the outputs and has other bytes than the record says, as Snakemake does."""
    if not (await file.exists() and await file.is_newer(await job.output_mintime)):
        return False
    sums, limit = dag.workflow.persistence.input_checksums(job, file), dag.max_checksum_file_size
    return len(sums) != 1 or not await file.is_same_checksum(sums.pop(), limit)


def _ancient(files) -> bool:
    return all(file.is_ancient for file in files)
