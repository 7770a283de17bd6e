"""Fine-tune a model on its aligned start's rows, and merge the adapter into its weights.

align.py --model DIR --rows ROWS.parquet --seed S --options JSON --code IDENTITY --partial DIR --checkpoint-minutes M
         --out DIR

It stops and continues as train.py does.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from ballast import plugins, schemas
from ballast.files import write_json
from ballast.training import checkpoints
from ballast.training.merging import merge


def main(arguments: argparse.Namespace) -> None:
    options, out = json.loads(arguments.options), Path(arguments.out)
    rows = schemas.read(arguments.rows, schemas.PAIRS).assign(origin="aligned")
    print(f"{len(rows)} rows to learn first", file=sys.stderr)
    trainer = plugins.load("trainers", options["trainer"])
    key = checkpoints.key(arguments.model, rows, options, arguments.seed, arguments.code)
    out.mkdir(parents=True, exist_ok=True)
    with (
        checkpoints.unfinished(arguments.partial, key, arguments.checkpoint_minutes) as partial,
        tempfile.TemporaryDirectory(dir=out, prefix=".adapter") as adapter,
    ):
        log = trainer.train(arguments.model, rows, options, arguments.seed, adapter, partial)
        merge(arguments.model, adapter, options["dtype"], out)
        write_json(out / "training.json", log)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "rows", "options", "code", "partial", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--checkpoint-minutes", type=float, required=True)
    main(parser.parse_args())
