"""Inspect a study's base data and pools: how they are read, what they share with benchmarks, what would ruin results.

inspection.py --options JSON --benchmarks ROWS.parquet... --out-report F.md --out-leaks F.csv --out-findings F.json
"""

import argparse
import json
import sys
from pathlib import Path

from ballast import schemas
from ballast.data import inspection, inspection_report
from ballast.files import write_csv, write_json, write_text


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    datasets = [inspection.read(**each) for each in options["datasets"]]
    benchmarks = {Path(path).stem: schemas.read(path, schemas.BENCHMARK) for path in arguments.benchmarks}
    found = inspection.inspect(datasets, benchmarks, options)
    write_text(arguments.out_report, inspection_report.report(found, options["study"]))
    write_csv(arguments.out_leaks, found.leaks)
    write_json(arguments.out_findings, inspection.findings_json(found))
    print(f"{len(found.findings)} findings, {len(found.stops())} of which stop the study", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--benchmarks", nargs="*", default=[])
    for kind in ("report", "leaks", "findings"):
        parser.add_argument(f"--out-{kind}", required=True)
    main(parser.parse_args())
