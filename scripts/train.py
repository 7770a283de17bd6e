"""Train one LoRA adapter on base data + subset.

train.py --model DIR --base ROWS.parquet --pool ROWS.parquet --subset SUBSET.csv --seed S --options JSON --out DIR
"""

import argparse
import json

import pandas as pd

from ballast import plugins, schemas
from ballast.files import BallastError, write_json


def main(arguments: argparse.Namespace) -> None:
    options = json.loads(arguments.options)
    trainer = plugins.load("trainers", options["trainer"])
    rows = training_rows(arguments.base, arguments.pool, arguments.subset)
    log = trainer.train(arguments.model, rows, options, arguments.seed, arguments.out)
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
    parser.add_argument("--out", required=True)
    main(parser.parse_args())
