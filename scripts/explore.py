"""Write explore.html: the responses of all runs side by side, with the judges' verdicts, in one file.

    explore.py --results DIR --options JSON --scores SCORES.parquet --out HTML

`options`: study, synthetic, redact, runs (their folders below runs/), metrics (name -> benchmark, judge),
model_labels, stand_ins. Reads runs/<run>/responses.parquet below `results`.
"""

import argparse
import json
import sys

from ballast.explore import data, page
from ballast.files import write_text


def main(arguments: argparse.Namespace) -> None:
    found = data.collect(data.PageOptions(**json.loads(arguments.options)), arguments.results, arguments.scores)
    text = page.render(found)
    write_text(arguments.out, text)
    said = f"{len(found['ids']):,} prompts, {len(found['runs']):,} runs, {len(found['texts']):,} distinct texts"
    print(f"{said}, {len(text.encode()) / 2**20:.1f} MiB{', redacted' if found['redacted'] else ''}", file=sys.stderr)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("results", "options", "scores", "out"):
        parser.add_argument(f"--{name}", required=True)
    main(parser.parse_args())
