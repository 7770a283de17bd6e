"""Measure Snakemake's cost of planning a study: `python benchmarks/dry_runs.py [config/paper.yaml] [--trials 17]`.

It prints CPU seconds, wall seconds and peak memory of three calls: a dry run before any file exists, a dry run of a
finished study, and a real run with nothing to do. Snakemake reads records, not contents, so no model is needed: each
file holds its own name and is recorded as made. `--trials` gives Tables 1 and 2 more trials, for a larger study.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
# Snakemake's own --touch, without its pause per job.
TOUCH = """
import sys
from snakemake.cli import main
from snakemake.executors.touch import Executor
Executor.SLEEPING_TIME = 0
main(["--touch", "--forceall", "--quiet", "--configfile", sys.argv[1]])
"""


def as_if_made(folder: Path, config: str) -> None:
    """Give a checkout the files of a finished study, each holding its own name, recorded as made by its rule."""
    summary = [SNAKEMAKE, "--summary", "--configfile", config]
    listed = subprocess.run(summary, cwd=folder, capture_output=True, text=True, check=True).stdout
    for name in re.findall(r"^(results/[^\t]+)\t", listed, re.MULTILINE):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    subprocess.run([sys.executable, "-c", TOUCH, config], cwd=folder, capture_output=True, check=True)


def look(folder: Path, about: str, *arguments: str) -> None:
    """Run Snakemake once; print its costs and its output."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen([SNAKEMAKE, *arguments], cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        said.seek(0)
        text = said.read()
    jobs = re.findall(r"^total +(\d+)$", text, re.MULTILINE)
    found = f"{jobs[-1]} jobs" if jobs else "nothing to do" if "Nothing to be done" in text else text[-2000:]
    print(
        f"{about}: {found}, {time.monotonic() - begin:.1f} s, {usage.ru_utime + usage.ru_stime:.1f} CPU s, "
        f"{usage.ru_maxrss / 1024:.0f} MiB, status {os.waitstatus_to_exitcode(status)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", nargs="?", default="config/paper.yaml")
    parser.add_argument("--trials", type=int)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "study")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        config = arguments.config
        if arguments.trials:
            config = f"{config.removesuffix('.yaml')}-benchmark.yaml"
            overlay = (
                f"extends: {Path(arguments.config).name}\nexperiments: {{sampling: {{trials: {arguments.trials}}}}}\n"
            )
            (folder / config).write_text(overlay)
        dry = ("--dry-run", "--quiet", "rules", "--configfile", config)
        look(folder, "cold dry run", *dry)
        as_if_made(folder, config)
        look(folder, "dry run when all is made", *dry)
        look(folder, "run when all is made", "--configfile", config)


if __name__ == "__main__":
    main()
