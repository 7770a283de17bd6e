"""Report the CPU seconds of each method, compared with plain training.

spent.py --options JSON --logs JSON --out-md F --out-csv F

`--logs` names the logs of the jobs (ballast/results/spent.py), whose last lines hold the times.
"""

import argparse
import json

from ballast.files import write_csv, write_text
from ballast.results import spent
from ballast.study.artefacts import parse_options


def main(arguments: argparse.Namespace) -> None:
    found = spent.table(json.loads(arguments.logs))
    write_csv(arguments.out_csv, found)
    write_text(arguments.out_md, spent.page(parse_options("spent", arguments.options), found))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "logs", "out-md", "out-csv"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
