"""Keep results on a storage of Snakemake, such as an object store; `inside_snakemake.py` imports it for such a run.

Rules and params name the local copies of results, and Snakemake keeps each file under its own name on the storage:
results/<study>/... below the prefix. Everything else is local: code, templates, and the files that a config names.
"""

import os
import sys
from contextlib import suppress
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.io import _IOFile, flag, get_flag_value
from snakemake.path_modifier import PATH_MODIFIER_FLAG, PathModifier
from snakemake_interface_executor_plugins.settings import SharedFSUsage

from ballast.files import BallastError
from ballast.running import manifest

HOW = "docs/storage.md"


class StoredResults(PathModifier):
    """The names of the files below `results`, a relative folder, on the default storage.

    `copies`: the folder on this machine that stands for the storage's prefix.
    """

    def __init__(self, workflow, results: str):
        super().__init__(None, None, workflow)
        self.results, self.settings = results, workflow.storage_settings
        copy = str(super().apply_default_storage(results))
        self.copies = copy.removesuffix(f"/{results}")
        if self.copies == copy:
            provider = f"--default-storage-provider {self.settings.default_storage_provider}"
            raise BallastError(f"{provider}: its local copies do not keep the files' names; use s3 or fs")
        if (folder := Path(results).name) in Path(self.copies).parts:
            prefix = f"--default-storage-prefix {self.settings.default_storage_prefix}"
            raise BallastError(f"{prefix}: local copies lie in {self.copies}; name no folder {folder} there")
        self._store_rows()

    def modify(self, path, property=None):
        """Return a path of a rule; the local copy of a result becomes a file on the storage."""
        known = get_flag_value(path, PATH_MODIFIER_FLAG) or get_flag_value(path, "local")
        if known or getattr(path, "callable", None) or not str(path).startswith(f"{self.copies}/"):
            return path
        stored = self.apply_default_storage(path)
        stored.flags.update(getattr(path, "flags", {}))
        return flag(stored, PATH_MODIFIER_FLAG)

    def apply_default_storage(self, path):
        """Return a target of the command line, or a path; a result becomes a file on the storage."""
        name = str(path).removeprefix(f"{self.copies}/")
        return super().apply_default_storage(name) if name.startswith(f"{self.results}/") else path

    def stop_if_apart(self) -> None:
        """Exit with one line if a job on another machine reads a fetched source, whose files lie on this one's disk."""
        if SharedFSUsage.STORAGE_LOCAL_COPIES in self.settings.shared_fs_usage:
            return
        sent = [job for job in self.workflow.dag.needrun_jobs() if not job.is_local]
        for rule, file in ((job.rule.name, str(file)) for job in sent for file in job.input):
            if file.startswith(f"{self.copies}/") and os.path.basename(file) == manifest.SOURCE:
                sys.exit(
                    f"ballast: {rule}: the files of {file.removeprefix(f'{self.copies}/')} are only on this machine's "
                    f"disk; share it (--shared-fs-usage with storage-local-copies), or give their `path` ({HOW})"
                )

    def fetch(self, log) -> None:
        """Fetch the log of a job that ran elsewhere; one that was killed stored none."""
        with suppress(WorkflowError):
            self.workflow.async_run(log.retrieve_from_storage())

    def _store_rows(self) -> None:
        """Let Snakemake store the manifest row of each artefact after the artefact."""
        if getattr(_IOFile.store_in_storage, "rows", False):
            return
        store, copies, stored = _IOFile.store_in_storage, f"{self.copies}/", super().apply_default_storage

        async def store_in_storage(file):
            await store(file)
            row = ""
            with suppress(BallastError):  # a file of another workflow is no result
                row = str(manifest.row_of(str(file).removeprefix(copies)))
            if row and os.path.exists(copies + row):  # a log has none
                await get_flag_value(stored(row), "storage_object").managed_store()

        store_in_storage.rows = True
        _IOFile.store_in_storage = store_in_storage
