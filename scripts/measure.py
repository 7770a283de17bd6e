"""Compare models before and after a fine-tuning: every metric, by category, and the responses themselves.

measure.py --options JSON --scores SCORES.parquet... --responses RESPONSES.parquet... --out-md F --out-json F

`options`: study, synthetic, redact, before, after, metrics (name -> section with its judge's declaration),
model_labels, stand_ins, targets (metric -> limit). `--responses`: one file per model, the one before first.
"""

import argparse
import json
import sys

from ballast import schemas
from ballast.files import write_json, write_text
from ballast.results import measured, metrics


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    models = list(dict.fromkeys([options["before"], *options["after"]]))
    responses = dict(zip(models, (schemas.read(path, schemas.RESPONSES) for path in arguments.responses), strict=True))
    found = measured.compare(metrics.read_scores(arguments.scores), responses, options)
    write_json(arguments.out_json, found)
    write_text(arguments.out_md, measured.page(found, options))
    print(found["said"], file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "out-md", "out-json"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    parser.add_argument("--responses", nargs="+", required=True)
    main(parser.parse_args())
