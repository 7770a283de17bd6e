"""Compare the code on disk with the code that a job records: the identity that Snakemake computed when it started."""

import os
import shutil
import sys
from pathlib import Path

from ballast import categories, identity
from ballast.files import BallastError

KEPT = "ballast.asking.store"


class SameCode:
    """The code of one job. Raises BallastError where the code on disk is not `code`, the identity of the plan."""

    def __init__(self, stage: str, code: str):
        self.stage, self.named = stage, code.split(":")[1:]
        self.parts = self._parts()
        _kept().clear()
        if identity.digest_of(self.parts, self.named) != code:
            raise BallastError(
                "scripts/ changed after Snakemake planned this job, so it writes nothing; "
                "end or undo the edit, then start Snakemake again"
            )

    def check(self, made: list[str], arguments: list[str]) -> None:
        """Raise BallastError if the code changed since the start; remove what the job made and kept."""
        now = self._parts()
        changed = sorted(name for name in {*now, *self.parts} if now.get(name) != self.parts.get(name))
        if not changed:
            return
        for file in map(Path, [*made, *_kept()]):
            file.unlink(missing_ok=True)
        if "--partial" in arguments:
            shutil.rmtree(arguments[arguments.index("--partial") + 1], ignore_errors=True)
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise BallastError(
            f"scripts/{changed[0].removesuffix(': ')}{more} changed while this job ran, so its files are removed; "
            f"end or undo the edit, then start Snakemake again"
        )

    def _parts(self) -> dict[str, str]:
        own = os.environ.get(categories.OWN)
        try:
            return identity.code_parts(self.stage, *self.named, taxonomy=own and categories.read(own))
        except (OSError, SyntaxError, ValueError):  # somebody is writing the files
            return {"ballast: a file that cannot be read now": ""}


def _kept() -> list[Path]:
    """Return the files of answers that this process has begun."""
    return sys.modules[KEPT].begun if KEPT in sys.modules else []
