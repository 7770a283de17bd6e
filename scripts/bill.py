"""Print what a study costs on a cluster of GPUs, by rule, before any job runs.

bill.py --options JSON [--out TEXT]
"""

import argparse
import json
from collections import Counter
from dataclasses import replace

from tabulate import tabulate

from ballast.files import write_text
from ballast.running.bill import Bill, Line, added, bill
from ballast.running.prices import MARKS

GPUS = (8, 16, 32)


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
    """The bill's parts, in the order of reading; `names`: plug-ins whose jobs it takes for plain training."""
    total, cpu = found.total, found.lines[-1]
    rows = [
        (line.rule, line.jobs, line.cluster_jobs, line.work, line.startup, 100 * line.share)
        for line in (*found.lines, total)
    ]
    rows[-2] = (*rows[-2][:3], None, None, None)
    disk = [*found.gigabytes.items(), ("total", sum(found.gigabytes.values()))]
    on_gpus = total.cluster_jobs - cpu.cluster_jobs
    walls = [(gpus, found.wall(gpus), on_gpus / gpus) for gpus in GPUS]
    runs = sum(line.jobs for line in found.lines if line.rule == "generate")
    marks = Counter(rate.mark for rate, _ in found.rates.values())
    return [
        f"{study}: what it costs on L40S GPUs, one a job",
        table(rows, ["rule", "jobs", "cluster jobs", "work, GPU-h", "start-up, GPU-h", "start-up, %"]),
        "Start-up is what a GPU is held for before and after its real work. A pair that several runs hold is judged\n"
        "once: the bill is without that saving, and without what is finished already." + as_plain(names),
        compared("whole study, GPU-h", [*found.lines[:-1], total, each_run(total, runs)]),
        compared("a run on every benchmark, GPU-h", [*found.run, added("total", found.run)]),
        "The authors: the same rows and prompts as their code works, without start-up; how they labelled is unknown.\n"
        "Ours: this config, with start-up. The limit: FLOPs at the dense peak, memory at full bandwidth, no start-up.\n"
        "All hours are arithmetic on the rates below, of which "
        + ", ".join(f"{marks[mark]} are {mark}" for mark in MARKS)
        + ".",
        table(disk, ["on disk", "GB"]),
        table(walls, ["GPUs", "wall time, hours at least", "cluster jobs a GPU"]),
        f"The longest chain of jobs takes {found.chain:.1f} hours. Wall time assumes that GPUs are never waited for,\n"
        "nor downloads and CPU jobs; how long each cluster job waits in the queue is not known.",
        table([(name, *said) for name, said in found.rows.items()], ["dataset", "rows", "said by"]),
        table(
            [
                (
                    name,
                    f"{rate.value:,g}",
                    rate.unit,
                    rate.mark,
                    "all" if len(ways) == 3 else ", ".join(ways),
                    rate.source,
                )
                for name, (rate, ways) in found.rates.items()
            ],
            ["rate", "value", "unit", "mark", "for", "source"],
        ),
    ]


def as_plain(names: list[str]) -> str:
    if not names:
        return ""
    return f"\nTaken for plain training, which they are not: {', '.join(names)}; docs/methods.md has their CPU seconds."


def each_run(total: Line, runs: int) -> Line:
    """A run's share of the whole study; most runs are measured on some of the benchmarks alone."""
    hours = {name: getattr(total, name) / runs for name in ("work", "startup", "authors", "limit")}
    return replace(total, rule=f"each of {runs} runs", **hours)


def compared(name: str, lines: list[Line]) -> str:
    """The three ways side by side, and how far ours is from both others."""
    rows = [
        (
            line.rule,
            line.authors or None,
            line.total,
            line.limit,
            line.authors / line.total or None,
            line.total / line.limit,
        )
        for line in lines
    ]
    columns = [name, "authors", "ours", "limit", "authors / ours", "ours / limit"]
    return table(rows, columns, floatfmt=("", ",.2f", ",.2f", ",.3f", ",.1f", ",.1f"))


def table(rows: list[tuple], headers: list[str], floatfmt: str | tuple[str, ...] = ",.1f") -> str:
    """A plain table; hours and gigabytes with one decimal."""
    return tabulate(rows, headers, tablefmt="simple", floatfmt=floatfmt, intfmt=",", missingval="")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--out", help="a file in place of the terminal")
    main(parser.parse_args())
