"""Train one LoRA adapter on base data + subset.

train.py --model DIR --base ROWS.parquet --pool ROWS.parquet --subset SUBSET.csv --seed S --options JSON --code IDENTITY
    --partial DIR --checkpoint-minutes M --out DIR

Stopped by SIGTERM or SIGUSR1 it saves a checkpoint in the folder `--partial` and exits with status 143; the same
command then continues, also after SIGKILL. The folder is removed when the adapter is there.
"""

import argparse
import json

import pandas as pd

from ballast import checkpoints, plugins, schemas
from ballast.files import BallastError, write_json


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    trainer = plugins.load("trainers", options["trainer"])
    rows = training_rows(arguments.base, arguments.pool, arguments.subset)
    key = checkpoints.key(arguments.model, rows, options, arguments.seed, arguments.code)
    with checkpoints.unfinished(arguments.partial, key, arguments.checkpoint_minutes) as partial:
        log = trainer.train(arguments.model, rows, options, arguments.seed, arguments.out, partial)
        write_json(f"{arguments.out}/training.json", log)


def training_rows(base: str, pool: str, subset: str) -> pd.DataFrame:
    """Base data, then the subset in its rank order; `origin` says which. The trainer shuffles."""
    safety = schemas.read(pool, schemas.PAIRS).set_index("id", drop=False)
    picked = pd.read_csv(subset, dtype={"id": str})["id"]
    unknown = picked[~picked.isin(safety.index)]
    if len(unknown):
        raise BallastError(f"{subset}: row {unknown.index[0]}: id {unknown.iloc[0]} is not in {pool}")
    base_rows = schemas.read(base, schemas.PAIRS).assign(origin="base")
    return pd.concat([base_rows, safety.loc[picked].assign(origin="subset")], ignore_index=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--subset", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--options", required=True)
    parser.add_argument("--code", required=True)
    parser.add_argument("--partial", required=True)
    parser.add_argument("--checkpoint-minutes", type=float, required=True)
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
