"""Write one run's responses to one benchmark, and the judges' scores, as logs that other programs read.

eval_log.py --options JSON --rows BENCHMARK.parquet --responses RESPONSES.parquet --record GENERATION.json
            --scores METRIC=JUDGED.parquet... --out-eval F.eval --out-samples F.jsonl --out-results F.json

`options`: those of `ballast.results.run_log.gather`.
"""

import argparse
import json
import sys

from ballast.results import harness_log, inspect_log, run_log


def main(arguments: argparse.Namespace) -> None:
    scores = dict(argument.split("=", 1) for argument in arguments.scores)
    options = json.loads(arguments.options)
    log = run_log.gather(options, arguments.rows, arguments.responses, arguments.record, scores)
    inspect_log.write(arguments.out_eval, log)
    harness_log.write(arguments.out_samples, arguments.out_results, log)
    print(
        f"{log.asked} prompts of {log.benchmark}, {len(log.rows)} responses, {log.asked - len(log.rows)} without one"
        f"{'; redacted' if options['redact'] else ''}",
        file=sys.stderr,
    )
    for each in log.verdicts:
        missing = ", ".join(f"{times} {why}" for why, times in each.missing.items()) or "none"
        print(f"{each.metric.name} by {each.judge}: {len(each.read)} scores; missing: {missing}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("options", "rows", "responses", "record", "out-eval", "out-samples", "out-results"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--scores", nargs="+", required=True)
    main(parser.parse_args())
