"""Find Ballast's own files, whatever folder Snakemake runs in, and make its package importable.

Inputs: the place of this file: a folder, or a repository that `module ...: snakefile: github(...)` names.
Outputs: CHECKOUT. Each version of a repository lies in .snakemake/ballast/, because jobs have files of it as inputs, and
another path would re-run them.
Costs: nothing; for a repository a second per version.
"""

import os
import shutil
import sys
import tarfile
import tempfile

PLACE = workflow.current_basedir.join("../..")
CHECKOUT = os.path.normpath(str(PLACE)) if PLACE.is_local else os.path.abspath(".snakemake/ballast")
# Snakemake's clone of a repository has no files.
CLONE = None if PLACE.is_local else PLACE.hosted_repo.repo
VERSION = f"{CHECKOUT}/{CLONE.git.rev_parse(PLACE.ref + '^{commit}')}" if CLONE else CHECKOUT
LOADED = os.path.dirname(os.path.dirname(sys.modules["ballast"].__file__)) if "ballast" in sys.modules else None
if LOADED and not (os.path.exists(VERSION) and os.path.samefile(LOADED, f"{CHECKOUT}/scripts")):
    sys.exit(f"ballast: {PLACE}: this workflow has Ballast of {LOADED} already; use one version of it")
if not os.path.exists(VERSION):
    shutil.rmtree(CHECKOUT, ignore_errors=True)
    with tempfile.TemporaryFile() as packed:
        CLONE.archive(packed, PLACE.ref)
        packed.seek(0)
        tarfile.open(fileobj=packed).extractall(CHECKOUT, filter="data")
    open(VERSION, "w").close()  # so it is whole
sys.path.insert(0, f"{CHECKOUT}/scripts")
