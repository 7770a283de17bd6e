"""Fine-tune a model on its aligned start's rows, and merge the adapter into its weights.

align.py --model DIR --name MODEL --held ROWS.parquet... --others ROWS.parquet... --seed S --options JSON
    --code IDENTITY --partial DIR --checkpoint-minutes M --out DIR

`--others` are all rows that the study picks from or asks; the program refuses a row there whose request the start
learns. It stops and continues as train.py does.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import pandas as pd

from ballast import plugins, schemas
from ballast.data import holding
from ballast.data.rows import pairs_to_judge
from ballast.files import read_parquet, write_json
from ballast.training import checkpoints
from ballast.training.merging import merge


def main(arguments: argparse.Namespace) -> None:
    options, out = json.loads(arguments.options), Path(arguments.out)
    parts = [schemas.read(path, schemas.HELD) for path in arguments.held]
    held = pd.concat([part[part["model"] == arguments.name] for part in parts], ignore_index=True)
    holding.refuse_shared(held, {path: requests(path) for path in arguments.others})
    # Pool and base data may share a row's text, and a table's ids are unique.
    table = held.drop(columns="model").drop_duplicates("id").assign(origin="aligned").reset_index(drop=True)
    print(f"{arguments.name} learns {len(table)} rows first", file=sys.stderr)
    trainer = plugins.load("trainers", options["trainer"])
    key = checkpoints.key(arguments.model, table, options, arguments.seed, arguments.code)
    out.mkdir(parents=True, exist_ok=True)
    with (
        checkpoints.unfinished(arguments.partial, key, arguments.checkpoint_minutes) as partial,
        tempfile.TemporaryDirectory(dir=out, prefix=".adapter") as adapter,
    ):
        log = trainer.train(arguments.model, table, options, arguments.seed, adapter, partial)
        merge(arguments.model, adapter, options["dtype"], out)
        write_json(out / "training.json", log)


def requests(path: str) -> pd.Series:
    """Return the requests of pairs, or the prompts of a benchmark."""
    table = read_parquet(path)
    return table["prompt"] if "prompt" in table else pairs_to_judge(table)["prompt"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "name", "options", "code", "partial", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--held", nargs="+", required=True)
    parser.add_argument("--others", nargs="+", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--checkpoint-minutes", type=float, required=True)
    main(parser.parse_args())
