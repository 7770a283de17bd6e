"""Measure time and memory of a whole study from scratch: `python benchmarks/study.py [config/mini.yaml]`.

It runs Snakemake in a temporary working folder, so it neither reads nor changes results/. Memory is the sum of the
proportional set sizes (shared pages counted once) of all processes that it starts, sampled twice a second.
"""

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARK = "BALLAST_BENCHMARK"


def main(config: str = "config/mini.yaml") -> None:
    with tempfile.TemporaryDirectory() as folder:
        snakemake = [
            str(Path(sys.executable).with_name("snakemake")),
            "--snakefile",
            str(ROOT / "Snakefile"),
            "--workflow-profile",
            str(ROOT / "profiles/default"),
            "--configfile",
            str(ROOT / config),
            "--directory",
            folder,
        ]
        begin = time.monotonic()
        subprocess.run([*snakemake, "--dry-run", "--quiet", "rules"], check=True, capture_output=True)
        dry = time.monotonic() - begin
        mark = f"{MARK}={os.getpid()}".encode()
        begin, peak = time.monotonic(), 0
        with open(Path(folder) / "log", "w") as log:
            environment = os.environ | {MARK: str(os.getpid())}
            process = subprocess.Popen(snakemake, stdout=log, stderr=log, env=environment)
            while process.poll() is None:
                peak = max(peak, memory(mark))
                time.sleep(0.5)
        wall = time.monotonic() - begin
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        jobs = len(list((Path(folder) / "results").rglob("*.jsonl")))
        print(
            json.dumps(
                {
                    "config": config,
                    "status": process.returncode,
                    "jobs": jobs,
                    "cold_dry_run_seconds": round(dry, 1),
                    "wall_seconds": round(wall),
                    "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
                    "peak_memory_mib": round(peak / 1024),
                    "cores": os.cpu_count(),
                    "python": platform.python_version(),
                },
                indent=1,
            )
        )
        if process.returncode:
            print((Path(folder) / "log").read_text()[-3000:], file=sys.stderr)
            sys.exit(1)


def memory(mark: bytes) -> int:
    """Return the summed proportional set size, in KiB, of all processes that inherited the mark."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                rollup = (process / "smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return total


if __name__ == "__main__":
    main(*sys.argv[1:])
