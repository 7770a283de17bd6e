"""Print what a study costs on a cluster of GPUs, by rule, before any job runs.

bill.py --options JSON [--out TEXT]
"""

import argparse
import json
from collections import Counter
from dataclasses import replace

from tabulate import tabulate

from ballast.files import write_text
from ballast.running.bill import Bill, Line, bill, summed
from ballast.running.prices import MARKS

GPUS = (8, 16, 32)
HOURS = ("GPU-h", "work, GPU-h", "start-up, GPU-h", "start-up, %")


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    found = bill(options)
    if options["gpu"]:
        parts = report(options["study"], found, options["priced_as_plain"])
    else:
        lines = [(line.rule, line.jobs, line.cluster_jobs) for line in (*found.lines, found.total)]
        parts = [
            f"{options['study']}: models of the mini world, no GPU needed",
            table(lines, ["rule", "jobs", "cluster jobs"]),
        ]
    text = "\n\n".join(parts)
    if arguments.out:
        write_text(arguments.out, f"{text}\n")
    else:
        print(text)


def report(study: str, found: Bill, names: list[str]) -> list[str]:
    """Return the parts of the bill, in reading order; `names`: plug-ins whose jobs it prices as plain training."""
    total, cpu = found.total, found.lines[-1]
    disk = [*found.gigabytes.items(), ("total", sum(found.gigabytes.values()))]
    on_gpus = total.cluster_jobs - cpu.cluster_jobs
    walls = [(gpus, found.wall(gpus), on_gpus / gpus) for gpus in GPUS]
    runs = sum(line.jobs for line in found.lines if line.rule == "generate")
    marks = Counter(rate.mark for rate in found.rates.values())
    rates = [(name, f"{rate.value:,g}", rate.unit, rate.mark, rate.source) for name, rate in found.rates.items()]
    return [
        f"{study}: what it costs on L40S GPUs, one a job unless the config gives it several",
        table(
            [(line.rule, line.jobs, line.cluster_jobs, *hours(line)) for line in (*found.lines, total)],
            ["rule", "jobs", "cluster jobs", *HOURS],
        ),
        "Start-up is what a GPU is held for before and after its real work. A pair that several runs hold is judged\n"
        "once: the bill is without that saving, and without what is finished already." + as_plain(names),
        table(
            [(line.rule, *hours(line)) for line in (*found.run, summed(found.run), each_run(total, runs))],
            ["a run on every benchmark", *HOURS],
            floatfmt=",.2f",
        ),
        "All hours are arithmetic on the rates below, of which "
        + ", ".join(f"{marks[mark]} are {mark}" for mark in MARKS if marks[mark])
        + ".",
        table(disk, ["on disk", "GB"]),
        table(walls, ["GPUs", "wall time, hours at least", "cluster jobs a GPU"]),
        f"The longest chain of jobs takes {found.chain:.1f} hours. Wall time assumes that GPUs are never waited for,\n"
        "nor downloads and CPU jobs; how long each cluster job waits in the queue is not known.",
        table([(name, *said) for name, said in found.rows.items()], ["dataset", "rows", "said by"]),
        table(rates, ["rate", "value", "unit", "mark", "source"]),
    ]


def hours(line: Line) -> tuple[float | None, ...]:
    """Return a line's HOURS; None for a rule without a GPU."""
    return (line.total, line.work, line.startup, 100 * line.share) if line.total else (None,) * len(HOURS)


def as_plain(names: list[str]) -> str:
    if not names:
        return ""
    return f"\nTaken for plain training, which they are not: {', '.join(names)}; docs/methods.md has their CPU seconds."


def each_run(total: Line, runs: int) -> Line:
    """Return a run's share of the whole study; most runs use only some of the benchmarks."""
    return replace(total, rule=f"each of {runs} runs", work=total.work / runs, startup=total.startup / runs)


def table(rows: list[tuple], headers: list[str], floatfmt: str = ",.1f") -> str:
    """Return a plain table; hours and gigabytes with one decimal."""
    return tabulate(rows, headers, tablefmt="simple", floatfmt=floatfmt, intfmt=",", missingval="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--out", help="a file in place of the terminal")
    main(parser.parse_args())
