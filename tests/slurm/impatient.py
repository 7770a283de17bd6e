"""Snakemake, but for one wait: between two looks at its jobs the Slurm executor waits ten seconds more each time.

No option changes that, and tests of short jobs would spend most of their time in it.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor

SECONDS = 2


async def sleep(_: RemoteExecutor) -> None:
    await asyncio.sleep(SECONDS)


RemoteExecutor.sleep = sleep
if __name__ == "__main__":
    sys.exit(main())
