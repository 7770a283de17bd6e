"""Find Ballast's own files, whatever folder Snakemake runs in, and make its package importable.

Inputs: the place of this file: a folder, or a repository that `module ...: snakefile: github(...)` names.
Outputs: CHECKOUT. Of a repository it is .snakemake/ballast/<module>/, the same for each version: this path is an input of
jobs, which a new version must not re-run.
Costs: nothing; for a repository a second per version.
"""

import os
import shutil
import sys
import tarfile
import tempfile

PLACE = workflow.current_basedir.join("../..")
CHECKOUT = os.path.normpath(str(PLACE)) if PLACE.is_local else os.path.abspath(f".snakemake/ballast/{__name__}")
if not PLACE.is_local:
    # Snakemake has a clone without files.
    CLONE = PLACE.hosted_repo.repo
    VERSION = f"{CHECKOUT}/{CLONE.git.rev_parse(PLACE.ref + '^{commit}')}"
    if not os.path.exists(VERSION):
        shutil.rmtree(CHECKOUT, ignore_errors=True)
        with tempfile.TemporaryFile() as packed:
            CLONE.archive(packed, PLACE.ref)
            packed.seek(0)
            tarfile.open(fileobj=packed).extractall(CHECKOUT, filter="data")
        open(VERSION, "w").close()  # so it is whole
sys.path.insert(0, f"{CHECKOUT}/scripts")
