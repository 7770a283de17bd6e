"""Adopt a finished study under new code: make a few jobs of each stage again, and record the others if none differs.

adopt.py --folders DIR... --command COMMAND --targets TARGET... --number N --seed S
"""

import argparse
import shutil
from pathlib import Path

from ballast.files import BallastError
from ballast.running import adopt


def main(arguments: argparse.Namespace) -> None:
    place = Path(arguments.folders[0], "partial/adopt")
    shutil.rmtree(place, ignore_errors=True)  # what an earlier one left
    jobs, prefix = adopt.planned(arguments.command, arguments.targets, place / "jobs.json")
    pending = sum(job.state == adopt.CODE for job in jobs)
    print(f"{pending} jobs are pending for their code alone")
    stages = []
    for stage in adopt.adopt(jobs, prefix, arguments.number, arguments.seed, arguments.folders, place):
        print(*([] if stages else [adopt.HEAD]), stage, sep="\n")
        stages.append(stage)
    refused = [stage for stage in stages if stage.wrong]
    adopted = sum(len(stage.jobs) for stage in stages if not stage.wrong)
    others = adopt.left(jobs)
    print(f"{adopted} jobs are adopted, and {sum(bool(job.state) for job in jobs)} left pending", *others, sep="\n")
    if refused:
        raise BallastError(
            f"the present code makes other results in {len(refused)} stages, of which nothing is adopted; "
            f"`{arguments.command}` makes them again"
        )
    shutil.rmtree(place)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", nargs="+", required=True)
    parser.add_argument("--command", required=True)
    parser.add_argument("--targets", nargs="+", required=True)
    parser.add_argument("--number", type=int, required=True, help="jobs of each stage to make again")
    parser.add_argument("--seed", type=int, required=True)
    main(parser.parse_args())
