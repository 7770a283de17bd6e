"""Compare models before and after a fine-tuning: every metric, by category, and the responses themselves.

measure.py --options JSON --scores SCORES.parquet... --responses RESPONSES.parquet... --benchmarks NAME=ROWS.parquet...
           --harness MODEL=RESULTS.json... --published TABLES.csv --advice ADVICE.csv... --configfiles YAML...
           --out-md F --out-json F

`options`: study, synthetic, redact, before, after, metrics (name -> section with its judge's declaration),
model_labels, stand_ins, targets (metric -> limit), runs (whether the models after are runs of one fine-tuning), pool (a
name or null). `--responses`: one file per model, the one before first. For the page's last part, `--advice`: that of
other studies here, `--configfiles`: those of this study.
"""

import argparse
import json
import sys

from ballast import schemas
from ballast.files import write_json, write_text
from ballast.published import tables
from ballast.results import harness, measured, metrics, what_to_add


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    models = list(dict.fromkeys([options["before"], *options["after"]]))
    responses = dict(zip(models, (schemas.read(path, schemas.RESPONSES) for path in arguments.responses), strict=True))
    rows = dict(argument.split("=", 1) for argument in arguments.benchmarks)
    asked = {name: schemas.read(path, schemas.BENCHMARK) for name, path in rows.items()}
    found = measured.compare(metrics.read_scores(arguments.scores), responses, asked, options)
    page, harm = measured.page(found, options), found["metrics"].get("harm", {"models": {}})
    if given := dict(argument.split("=", 1) for argument in arguments.harness):
        found["harness"] = harness.compare(
            {name: harness.read(given[name]) for name in models if name in given}, models[0]
        )
        page += "\n" + "\n\n".join(harness.paragraphs(found["harness"], options["model_labels"])) + "\n"
    verdicts = {harm["models"][model].get("verdict") for model in found["after"] if model in harm["models"]}
    if options["pool"] and measured.BEYOND in verdicts:
        metric = metrics.metric_of("harm", options["metrics"]["harm"])
        advice = what_to_add.advised(arguments.advice)
        parts = what_to_add.paragraphs(
            options | {"configfiles": " ".join(arguments.configfiles)},
            metric,
            harm["limit"],
            tables.read(arguments.published),
            advice,
        )
        page += "\n" + "\n\n".join(parts) + "\n"
    write_json(arguments.out_json, found)
    write_text(arguments.out_md, page)
    print(found["said"], file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "published", "out-md", "out-json"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    for name in ("responses", "benchmarks"):
        parser.add_argument(f"--{name}", nargs="+", required=True)
    for name in ("advice", "configfiles", "harness"):
        parser.add_argument(f"--{name}", nargs="*", default=[])
    main(parser.parse_args())
