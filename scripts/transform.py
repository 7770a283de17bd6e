"""Transform the LoRA adapter of another run.

transform.py --transform NAME --adapter DIR --model DIR [--pretrained DIR] --options JSON --out DIR

`--adapter` holds the other run's adapter and training.json. The new training.json is that log and, under `transform`,
the transform's measurements.
"""

import argparse
import json

from ballast import plugins
from ballast.files import read_json, write_json


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    plugin = plugins.load("transforms", arguments.transform)
    trained = read_json(f"{arguments.adapter}/training.json")
    log = plugin.transform(arguments.adapter, arguments.model, arguments.pretrained, options, arguments.out)
    write_json(f"{arguments.out}/training.json", trained | {"transform": {"name": arguments.transform} | log})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("transform", "adapter", "model", "options", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--pretrained")
    main(parser.parse_args())
