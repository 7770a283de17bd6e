"""Write the checks beyond the paper: other harmful prompts, another judge's labels, a second fine-tune, a second judge.

checks.py --options JSON --scores SCORES.parquet --labels POOL=BEHAVIOUR.parquet... --out CHECKS.md
"""

import argparse
import json

from ballast import schemas
from ballast.files import write_text
from ballast.results import metrics
from ballast.results.next_checks import CheckOptions, document


def main(arguments: argparse.Namespace) -> None:
    files = dict(pair.split("=", 1) for pair in arguments.labels)
    labels = {pool: schemas.read(path, schemas.BEHAVIOUR)[["id", "behaviour"]] for pool, path in files.items()}
    options = CheckOptions(**json.loads(arguments.options))
    write_text(arguments.out, document(options, metrics.read_scores(arguments.scores), labels))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--options", required=True)
    parser.add_argument("--scores", required=True)
    parser.add_argument("--labels", nargs="*", default=[], metavar="POOL=FILE")
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
