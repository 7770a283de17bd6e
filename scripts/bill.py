"""Print what a study costs on a cluster of GPUs, by rule, before any job runs.

bill.py --options JSON
"""

import argparse
import json

from tabulate import tabulate

from ballast.bill import Bill, bill

GPUS = (8, 16, 32)


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    found = bill(options)
    if options["gpu"]:
        print("\n\n".join(report(options["study"], found)))
    else:
        print(f"{options['study']}: models of the mini world, no GPU needed\n")
        lines = [(line.rule, line.jobs, line.cluster_jobs) for line in (*found.lines, found.total)]
        print(table(lines, ["rule", "jobs", "cluster jobs"]))


def report(study: str, found: Bill) -> list[str]:
    """The bill's parts, in the order of reading."""
    total, cpu = found.total, found.lines[-1]
    rows = [
        (line.rule, line.jobs, line.cluster_jobs, line.work, line.startup, 100 * line.share)
        for line in (*found.lines, total)
    ]
    rows[-2] = (*rows[-2][:3], None, None, None)
    disk = [*found.gigabytes.items(), ("total", sum(found.gigabytes.values()))]
    on_gpus = total.cluster_jobs - cpu.cluster_jobs
    walls = [(gpus, found.wall(gpus), on_gpus / gpus) for gpus in GPUS]
    authors, trained = found.rates["authors' code"], sum(line.jobs for line in found.lines if line.rule == "train")
    return [
        f"{study}: what it costs on L40S GPUs, one a job",
        table(rows, ["rule", "jobs", "cluster jobs", "work, GPU-h", "start-up, GPU-h", "start-up, %"]),
        "Start-up is what a GPU is held for before and after its real work. A pair that several runs hold is judged\n"
        "once: the bill is without that saving, and without what is finished already.\n"
        f"As the authors' code works, each run on every benchmark: about {authors.value * trained:,.0f} GPU-hours.",
        table(disk, ["on disk", "GB"]),
        table(walls, ["GPUs", "wall time, hours at least", "cluster jobs a GPU"]),
        f"The longest chain of jobs takes {found.chain:.1f} hours. Wall time assumes that GPUs are never waited for,\n"
        "nor downloads and CPU jobs; how long each cluster job waits in the queue is not known.",
        table([(name, *said) for name, said in found.rows.items()], ["dataset", "rows", "said by"]),
        table(
            [(name, f"{rate.value:,g}", rate.unit, rate.mark, rate.source) for name, rate in found.rates.items()],
            ["rate", "value", "unit", "mark", "source"],
        ),
    ]


def table(rows: list[tuple], headers: list[str]) -> str:
    """A plain table; hours and gigabytes with one decimal."""
    return tabulate(rows, headers, tablefmt="simple", floatfmt=",.1f", intfmt=",", missingval="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    main(parser.parse_args())
